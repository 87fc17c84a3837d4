"""The other environment: starting a module of `runtime/` there, with the settings of the environment it shall work on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import tools
from cli.failure import Failure
from cli.stack import Stack


def settings_file(stack: Stack, cloud: str) -> Path:
    """The settings that `isthmus up` wrote for this stack and these adapters. Raises Failure when it has not been up."""
    path = stack.outputs_folder / f"{cloud}.json"
    if not path.is_file():
        again = f"CLOUD_PROVIDER={cloud} make up" if cloud != stack.name else "make up"
        raise Failure(f"stack {stack.name!r} has no settings for {cloud!r} yet: run `{again}`")
    return path


def endpoint(stack: Stack, name: str) -> str:
    """The base URL that the stack publishes under `name`. Raises Failure when it is not up or has none."""
    found = (stack.platform() or {}).get("endpoints", {}).get(name)
    if found is None:
        raise Failure(f"stack {stack.name!r} has no endpoint {name!r}: run `make up`")
    return found


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """How to start `module` in the runtime's environment. Raises ToolMissing when it is not installed."""
    return [*tools.locate("python-runtime").argv, "-m", module, *arguments]


def environment(settings: Path | None = None) -> dict[str, str]:
    """Ours, pointing at `settings`; the checkout is importable there without being the current folder."""
    chosen = dict(os.environ)
    chosen.pop("PYTHONDONTWRITEBYTECODE", None)  # without bytecode every start costs seconds
    if settings is not None:
        chosen["ISTHMUS_SETTINGS"] = str(settings)
        chosen.pop("CLOUD_PROVIDER", None)  # the settings say which, and they were chosen by it
    return chosen


def run(module: str, arguments: Sequence[str], *, settings: Path | None = None) -> int:
    """Run it in the foreground, sharing this terminal; its exit code. Ctrl-C goes to it, and this waits for its end."""
    process = subprocess.Popen(command(module, arguments), env=environment(settings))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def capture(module: str, arguments: Sequence[str], *, settings: Path | None = None, timeout_seconds: float) -> bytes:
    """Run it and return what it printed. Raises Failure with its last words."""
    try:
        done = subprocess.run(
            command(module, arguments),
            env=environment(settings),
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{module} was not done after {timeout_seconds:g} s and was ended") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Failure(f"{module}: {words[-1]}", code=done.returncode)
    return done.stdout
