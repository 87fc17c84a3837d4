"""`isthmus up`: from what the machine has to a served prediction, one line a step."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.settings import Settings, requested_cloud
from cli import engine, runtime
from cli.failure import WRONG_INPUT, Failure
from cli.stack import Stack
from cli.turn import turn
from infra import outputs, stackfile
from infra.spec import PlatformSpec, SpecError, active_adapters
from tools.progress import Step

TRAIN_SECONDS = 600.0
"""The longest that one bundled model may take; they take seconds."""


@dataclass
class Report:
    """What came up, for people at the end and as JSON for machines."""

    environment: str
    cloud: str
    emulated: bool
    predict: str = ""
    storage: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)
    requests: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def wanted(stack: Stack) -> tuple[PlatformSpec, str]:
    """What the stack file says, and whose adapters run. Raises Failure with exit code 2 before anything is touched."""
    try:
        spec = stackfile.read(stack.file)
        return spec, active_adapters(spec, requested_cloud())
    except (SpecError, ValueError) as error:
        raise Failure(str(error), code=WRONG_INPUT) from error


def up(stack: Stack, *, as_json: bool) -> None:
    """Bring the environment up, train what is not trained yet, and prove it with a hundred real requests."""
    began = time.monotonic()
    out = sys.stderr if as_json else sys.stdout
    spec, cloud = wanted(stack)
    with turn(f"isthmus up {stack.name}", say=lambda words: Step("wait", out).say(words)):
        platform = provision(stack, Step("provision", out))
        report = Report(environment=stack.name, cloud=cloud, emulated=platform.settings.emulated)
        report.storage = _store(platform.settings)
        if stack.is_local and spec.serving.models:
            settings = runtime.settings_file(stack, cloud)
            report.models = _train_all(spec.serving.models, settings, Step("train", out))
            report.predict = platform.endpoints["predict"]
            report.requests = _prove(platform, spec.serving.models[0], Step("serve", out))
    report.seconds["up"] = round(time.monotonic() - began, 1)
    print(json.dumps(asdict(report), indent=2) if as_json else _words(report, platform))


def provision(stack: Stack, step: Step) -> outputs.PlatformOutputs:
    """Run the engine until the stack is as wanted, write its settings down, and return its outputs."""
    for sentence in engine.settle(stack):
        step.say(sentence)
    done: list[str] = []

    def note(operation: str, kind: str, name: str) -> None:
        if kind.startswith("isthmus:"):
            done.append(name)
            step.doing(f"{name}: {operation} done, {len(done)} so far")

    step.doing("starting the engine")
    result = engine.run(stack, "up", "--yes", "--skip-preview", "--refresh", on_resource=note)
    exported = stack.platform()
    if exported is None:
        raise Failure(f"stack {stack.name!r} exported no platform; is infra/__main__.py unchanged?")
    platform = outputs.parse(exported)
    write_settings(stack, platform)
    made = f"{result.changed} changed ({', '.join(done)})" if done else "everything is as wanted"
    step.say(f"{made}, {step.seconds:.1f} s")
    return platform


def write_settings(stack: Stack, platform: outputs.PlatformOutputs) -> None:
    """One document per cloud whose adapters reach this environment, whole or not at all."""
    folder = stack.outputs_folder
    folder.mkdir(parents=True, exist_ok=True)
    for settings in [platform.settings, *platform.alternatives.values()]:
        temporary = folder / f".{settings.cloud}.json"
        temporary.write_bytes(settings.to_json())
        temporary.replace(folder / f"{settings.cloud}.json")


def _train_all(models: Sequence[str], settings: Path, step: Step) -> list[dict[str, Any]]:
    """Train them side by side, a process each: most of the time is importing, which takes one core."""

    def train(model: str) -> dict[str, Any]:
        said = runtime.capture(
            "runtime.train.main", [model, "--json"], settings=settings, timeout_seconds=TRAIN_SECONDS
        )
        version = json.loads(said.splitlines()[-1])
        step.say(f"{version['summary']}, {step.seconds:.1f} s")
        return version

    step.doing(", ".join(models))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(train, models))


def _prove(platform: outputs.PlatformOutputs, model: str, step: Step) -> dict[str, Any]:
    step.doing("waiting until the models are loaded")
    arguments = [
        "--url",
        platform.endpoints["predict"],
        "--model",
        model,
        "--count",
        "100",
        "--wait-seconds",
        "60",
        "--json",
    ]
    answer = json.loads(runtime.capture("runtime.serve.probe", arguments, timeout_seconds=120))
    step.say(f"{answer['count']} requests, {answer['errors']} failed, {step.seconds:.1f} s")
    if answer["errors"]:
        raise Failure(f"{answer['errors']} of {answer['count']} predictions failed; see `isthmus logs serve`")
    return answer


def _store(settings: Settings) -> str:
    scheme = "gs" if settings.cloud == "gcp" else "s3"
    return f"{scheme}://{settings.storage.bucket}/{settings.storage.prefix}" + (
        f" at {settings.storage.endpoint}" if settings.storage.endpoint else ""
    )


def _words(report: Report, platform: outputs.PlatformOutputs) -> str:
    lines = ["", f"  {report.environment} is up on {platform.settings.label}, in {report.seconds['up']:.1f} s", ""]
    if report.predict:
        lines += [
            f"  serves    {report.predict}",
            f"  try       {report.requests['curl']}",
            f"  latency   p50 {report.requests['p50_ms']:.2f} ms, p99 {report.requests['p99_ms']:.2f} ms"
            f" over {report.requests['count']} requests",
        ]
    lines += [
        f"  stored    {report.storage}",
        "  more      .venv/bin/isthmus status | models list | predict digits --sample 3 | --help",
        "  stop      make down",
        "",
    ]
    return "\n".join(lines)
