"""Running the Pulumi engine: one verb, its events as they come, and what it said when it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

import tools
from cli.failure import INTERRUPTED, Failure
from cli.stack import Stack

Listener = Callable[[str, str, str], None]
"""Called with (operation, resource type, resource name) for each resource that the engine changes or would change."""

UNCHANGED = ("same", "refresh", "read")


@dataclass
class Result:
    """What a run did: resources by operation (`create`, `update`, `same`, ...) and its diagnostics, worst first."""

    changes: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """How many resources were not as wanted."""
        return sum(count for operation, count in self.changes.items() if operation not in UNCHANGED)


def run(stack: Stack, verb: str, *arguments: str, on_resource: Listener | None = None) -> Result:
    """Run `pulumi <verb>` on the stack to its end. Raises Failure with the engine's own reasons.

    A Ctrl-C is passed on to the engine, which ends what it is doing and keeps its state; then this raises Failure.
    """
    program = tools.locate("pulumi")
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        log, output = Path(folder, "events"), Path(folder, "output")
        log.touch()
        command = [*program.argv, verb, "--stack", stack.name, "--non-interactive", "--event-log", str(log), *arguments]
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=tools.checkout(),
                env=stack.environment() | {"PULUMI_DEBUG_COMMANDS": "true"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                process_group=0,  # a Ctrl-C reaches it through us, once: a second one would make it drop everything
            )
            result, interrupted = _follow(process, log, on_resource)
        if interrupted:
            raise Failure(
                "interrupted; `make up` goes on from here, `make down` removes what was started", code=INTERRUPTED
            )
        if process.returncode:
            raise Failure(_reason(verb, result, output.read_text(errors="replace")))
        return result


def simple(stack: Stack, *arguments: str) -> str:
    """Run a quick engine command and return what it printed. Raises Failure with its own words."""
    program = tools.locate("pulumi")
    done = subprocess.run(
        [*program.argv, *arguments, "--stack", stack.name, "--non-interactive"],
        cwd=tools.checkout(),
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise Failure(f"pulumi {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def settle(stack: Stack) -> list[str]:
    """Make the stack ready for an update after whatever happened to the last one; what was mended, in words.

    Raises Failure when another update of it is running now.
    """
    mended = []
    for lock in stack.locks():
        if _alive(lock):
            raise Failure(
                f"another update of stack {stack.name!r} is running: process {lock['pid']}, since {lock['timestamp']}"
            )
    if stack.locks():
        simple(stack, "cancel", "--yes")
        mended.append("released the lock of an update that was killed")
    if stack.is_local and not stack.checkpoint() and not _known(stack):
        _create(stack)
    if stack.checkpoint().get("pending_operations"):
        run(stack, "refresh", "--yes", "--skip-preview", "--clear-pending-creates")
        mended.append("cleared what a killed update had left pending")
    return mended


def _known(stack: Stack) -> bool:
    return (tools.home() / "state" / ".pulumi" / "stacks" / "isthmus" / f"{stack.name}.json").is_file()


def _create(stack: Stack) -> None:
    program = tools.locate("pulumi")
    done = subprocess.run(
        [*program.argv, "stack", "init", stack.name, "--non-interactive", "--no-select"],
        cwd=tools.checkout(),
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise Failure(f"cannot create stack {stack.name!r}: {(done.stderr or done.stdout).strip()}")


def _alive(lock: dict[str, Any]) -> bool:
    """Whether the process that took this lock still runs: the pid lives and began before the lock was taken."""
    try:
        holder = psutil.Process(lock["pid"])
        if holder.status() == psutil.STATUS_ZOMBIE:  # dead, only its parent has not looked yet
            return False
        began = datetime.fromtimestamp(holder.create_time(), UTC)
    except psutil.NoSuchProcess:
        return False
    return began <= datetime.fromisoformat(lock["timestamp"].replace("Z", "+00:00"))


def _follow(process: subprocess.Popen[bytes], log: Path, on_resource: Listener | None) -> tuple[Result, bool]:
    """Read events until the engine has ended; SIGINT and SIGTERM are passed on to it. The result, and whether one came."""
    result, interrupted = Result(), False
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with log.open() as events:
            while True:
                last = ended.is_set()
                try:
                    for event in _lines(events):
                        _note(event, result, on_resource)
                    if last:
                        return result, interrupted
                    ended.wait(0.05)
                except KeyboardInterrupt:
                    interrupted = True
                    process.send_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def _lines(events: Any) -> Iterator[dict[str, Any]]:
    while True:
        start = events.tell()
        line = events.readline()
        if not line.endswith("\n"):
            events.seek(start)
            return
        yield json.loads(line)


def _note(event: dict[str, Any], result: Result, on_resource: Listener | None) -> None:
    if outcome := event.get("resOutputsEvent"):
        step = outcome["metadata"]
        if on_resource is not None and step["op"] not in UNCHANGED:
            on_resource(step["op"], step["type"], step["urn"].rsplit("::", 1)[-1])
    elif (diagnostic := event.get("diagnosticEvent")) and diagnostic.get("severity") == "error":
        result.errors.append(_plain(diagnostic))
    elif summary := event.get("summaryEvent"):
        result.changes = summary.get("resourceChanges") or {}


def _plain(diagnostic: dict[str, Any]) -> str:
    text = diagnostic["message"]
    for mark in ("<{%reset%}>", "<{%fg 1%}>", "<{%fg 3%}>", "<{%bold%}>"):
        text = text.replace(mark, "")
    name = diagnostic.get("urn", "").rsplit("::", 1)[-1]
    return f"{name}: {text.strip()}" if name else text.strip()


def _reason(verb: str, result: Result, output: str) -> str:
    reasons = [error for error in result.errors if error and "update failed" not in error] or result.errors
    kept = tools.home() / "logs" / f"pulumi-{verb}.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(output)
    said = "\n  ".join(reasons) if reasons else (output.strip().splitlines() or ["it said nothing"])[-1]
    return f"pulumi {verb} failed:\n  {said}\n  (all it said: {kept})"


def exports(stack: Stack) -> str:
    """Shell lines after which `pulumi up -s <stack>` typed by hand means what `isthmus up` means."""
    import shlex

    variables = stack.variables()
    engine = Path(tools.locate("pulumi").argv[0]).parent
    path = os.pathsep.join([str(engine), variables.pop("PATH", os.environ.get("PATH", ""))])
    lines = [f"export PATH={shlex.quote(path)}"]
    return "\n".join(lines + [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())])
