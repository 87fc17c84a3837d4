"""The steps by their names, in the order that each can rely on those before it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tools import engine, environments, folders, kafka, mlflow, servers, store, vendors
from tools.environments import ENVIRONMENTS
from tools.failure import SetupFailed
from tools.progress import Step, clock, megabytes


@dataclass(frozen=True)
class Part:
    """One thing to get ready: `ready` says in a sentence that it is, or None; `install` makes it so."""

    name: str
    what: str
    ready: Callable[[], str | None]
    install: Callable[[Step], str]
    needs: tuple[str, ...] = ()
    notice: Callable[[], None] = lambda: None  # looks for the person's own programs on PATH


def _environment(name: str, what: str) -> Part:
    chosen = ENVIRONMENTS[name]
    return Part(name, what, lambda: environments.ready(chosen), lambda step: environments.install(chosen, step))


def _vendor(name: str) -> Part:
    return Part(
        name,
        f"Pulumi's SDK for {name}, for stacks of that cloud",
        lambda: vendors.ready(name),
        lambda step: vendors.install(name, step),
        needs=("infra",),
    )


PARTS = {
    part.name: part
    for part in (
        _environment("infra", "the environment of the Pulumi program and the command line"),
        Part("servers", "the local servers, and Java", servers.ready, servers.install, notice=servers.notice),
        Part("kafka", "Apache Kafka", kafka.ready, kafka.install, needs=("servers",)),
        _environment("runtime", "the environment that trains and serves"),
        Part("engine", "the Pulumi engine", engine.ready, engine.install, notice=engine.notice),
        *(_vendor(name) for name in vendors.VENDORS),
        Part("mlflow", "an MLflow server, for tests", mlflow.ready, mlflow.install),
        _environment("dev", "the environment of the linters"),
    )
}
FOR_UP = ("infra", "servers", "kafka", "runtime", "engine")


def main(arguments: list[str]) -> int:
    """Bring the named parts up to date, or clean; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bootstrap.py",
        description="Get this machine ready. With nothing named: what `make up` needs.",
        epilog="parts: " + "; ".join(f"{part.name}: {part.what}" for part in PARTS.values()),
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(PARTS)}, all, or clean")
    parser.add_argument("--data", action="store_true", help="with clean: delete what the local platform keeps, too")
    parser.add_argument("--quiet", action="store_true", help="say nothing of what is up to date already")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.what if name not in (*PARTS, "all", "clean")]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}: expected {', '.join(PARTS)}, all or clean")
    if (chosen.data or "clean" in chosen.what) and chosen.what != ["clean"]:
        parser.error("`clean` goes alone, and `--data` only with it")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    try:
        with store.writable(folders.cache()):
            if chosen.what == ["clean"]:
                return clean(data=chosen.data)
            for name in in_order(chosen.what):
                bring_up_to_date(PARTS[name], quiet=chosen.quiet)
    except SetupFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as late:
        print(f"error: {late.cmd[0]} gave no answer in {late.timeout:.0f} s: run this again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half-installed is in use; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def in_order(names: list[str]) -> list[str]:
    """The parts to bring up to date for these names, with what they rely on, each once, in the table's order."""
    wanted = set(PARTS) if "all" in names else set(names or FOR_UP)
    wanted |= {needed for name in wanted for needed in PARTS[name].needs}
    return [name for name in PARTS if name in wanted]


def bring_up_to_date(part: Part, *, quiet: bool) -> None:
    """Install the part unless it is ready, and say which in one line."""
    step = Step(part.name)
    part.notice()
    done = part.ready()
    if done is None:
        done = part.install(step)
        step.say(f"{done} (installed in {clock(step.seconds)})")
    elif not quiet:
        step.say(done)


def clean(*, data: bool) -> int:
    """Delete the installed tools and this checkout's environments; with `data` what the local platform keeps, too."""
    step = Step("clean")
    freed = 0
    with ExitStack() as held:
        # uv comes last, as it does for whoever installs: two that wait for each other would wait for ever.
        for name in (
            *(one.key for one in ENVIRONMENTS.values()),
            "servers",
            "kafka",
            "mlflow",
            "engine",
            *(f"pulumi-{name}" for name in vendors.VENDORS),
            "uv",
        ):
            held.enter_context(store.exclusive(name, "which deletes the tools and environments", step.say))
        for environment in ENVIRONMENTS.values():
            step.doing(f"deleting {environment.folder_name}")
            freed += environments.remove(environment)
        doomed = [folders.cache() / name for name in ("tools", "logs")] + [folders.home()] * data
        for folder in doomed:
            step.doing(f"deleting {folder}")
            store.sweep(folder.parent, folder.name)
            freed += store.remove(folder)
    step.say(f"{megabytes(freed)} freed" + ("" if data else f"; {folders.home()} is left as it was"))
    return 0


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
