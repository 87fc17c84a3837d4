"""Run another program as part of a step: its words into a log, its progress onto the step's line, its end awaited."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path

from tools import folders, store
from tools.failure import SetupFailed, Unreachable
from tools.progress import Step

_TICK_SECONDS = 0.25
_TAIL_LINES = 8
_PATIENCE_SECONDS = 5.0

_NO_NETWORK = re.compile(
    r"dns error|failed to lookup|could not resolve|name resolution|network is unreachable|no route to host"
    r"|connection refused|connection reset|no such host|i/o timeout|timed out|tunnel connection failed|proxyconnect"
    r"|newconnectionerror|max retries exceeded|from versions: none|error sending request|client error \(connect\)",
    re.IGNORECASE,
)
_NO_ROOM = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class _Late(Exception):
    """The time is over."""


def run(
    argv: Sequence[str],
    step: Step,
    *,
    env: Mapping[str, str],
    doing: str = "working",
    on_line: Callable[[str], None] = lambda line: None,
    on_tick: Callable[[int], None] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float = 3600.0,
    good: Container[int] = (0,),
    online: bool = False,
) -> None:
    """Run `argv` to its end, calling `on_line` with each line it prints and `on_tick` with its pid four times a second.

    Without `on_tick` the step says that it is `doing`. Raises SetupFailed, with the cure or with the last lines of the
    log and where it is, unless the program ends with a `good` status, and Unreachable where one that goes `online`
    could not. It and what it started are ended when this process is interrupted or the time is over.
    """
    log = folders.cache() / "logs" / f"{step.name}.log"
    with store.writable(log.parent):
        log.parent.mkdir(parents=True, exist_ok=True)
        book = log.open("ab" if step.logged else "wb")
        step.logged = True
    with book:
        book.write(f"$ {' '.join(argv)}\n".encode())
        book.flush()
        begins = book.tell()
        # A child holds the lock too: should this process be killed, nobody else begins before the child has ended.
        child = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(store.HELD),
        )
        try:
            _follow(child, book.write, on_line, on_tick or (lambda pid: step.doing(doing)), timeout_seconds)
        except BaseException as error:
            _end(child)
            if isinstance(error, _Late):
                message = f"{Path(argv[0]).name} was not done after {timeout_seconds:.0f} s and was ended: see {log}"
                raise SetupFailed(f"{step.name}: {message}") from None
            raise
    if child.returncode not in good:
        with log.open("rb") as book:
            book.seek(begins)
            words = book.read().decode(errors="replace")
        program = Path(argv[0]).name
        if online and _NO_NETWORK.search(words):
            raise _unreachable(step, program, log)
        raise _failure(step, program, log, words, child.returncode)


def _follow(
    child: subprocess.Popen[bytes],
    keep: Callable[[bytes], object],
    on_line: Callable[[str], None],
    on_tick: Callable[[int], None],
    timeout_seconds: float,
) -> None:
    assert child.stdout is not None
    deadline = time.monotonic() + timeout_seconds
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(child.stdout, selectors.EVENT_READ)
        while True:
            if time.monotonic() > deadline:
                raise _Late
            if ready.select(_TICK_SECONDS):
                chunk = os.read(child.stdout.fileno(), 65536)
                if not chunk:
                    break
                keep(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    on_line(line.decode(errors="replace").rstrip())
            on_tick(child.pid)
    if rest:
        on_line(rest.decode(errors="replace").rstrip())
    child.stdout.close()
    child.wait(timeout=60)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the program to end as Ctrl-C would; then make sure of it, and of everything it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it has ended, and all of its group with it
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_PATIENCE_SECONDS)
    if child.stdout is not None:
        child.stdout.close()


def _unreachable(step: Step, program: str, log: Path) -> Unreachable:
    return Unreachable(
        f"{step.name}: {program} could not reach its package index: check the network, or the proxy and index that "
        f"HTTPS_PROXY, PIP_INDEX_URL, UV_DEFAULT_INDEX and GOPROXY name, and run this again (log: {log})"
    )


def _failure(step: Step, program: str, log: Path, words: str, status: int) -> SetupFailed:
    if _NO_ROOM.search(words):
        return SetupFailed(f"{step.name}: the disk is full: make room and run this again (log: {log})")
    tail = "\n".join(f"    {line}" for line in words.strip().splitlines()[-_TAIL_LINES:])
    return SetupFailed(f"{step.name}: {program} failed with status {status}; its last words, from {log}:\n{tail}")


def written_bytes(pid: int) -> int | None:
    """What the process `pid` has written so far, in bytes, where the system tells (Linux)."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as counters:
            return int(next(line for line in counters if line.startswith("wchar:")).split()[1])
    except (OSError, StopIteration, ValueError):
        return None
