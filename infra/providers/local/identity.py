"""Which process is ours: a pid with its time of birth, and a token in the environment of everything it started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TOKEN = "ISTHMUS_PROCESS_TOKEN"
Hurry = threading.Event | None
_POLL_SECONDS = 0.03
_KILL_WAIT_SECONDS = 5.0


def birth(pid: int) -> str:
    """When `pid` began, in a form that stays the same while it lives and that no later process repeats; '' if none.

    On Linux in ticks since this boot, with the boot's id, because the clock of the wall can be moved.
    """
    try:
        if sys.platform == "linux":
            # The command's name may hold spaces and parentheses: count from the last one.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return "" if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except (OSError, psutil.Error):
        return ""


def alive(pid: int, born: str) -> bool:
    """Whether the process that was born as `born` still runs as `pid`."""
    return pid > 0 and bool(born) and birth(pid) == born


def with_token(token: str) -> list[psutil.Process]:
    """Every living process of this user that carries `token`, eldest first: a start and all its descendants."""
    found = [process for process in psutil.process_iter(["create_time"]) if _carries(process, token)]
    return sorted(found, key=lambda process: (process.info["create_time"], process.pid))


def members(pid: int, born: str, token: str) -> list[psutil.Process]:
    """The process, what shares its session, and what carries its token wherever it went."""
    found = {process.pid: process for process in with_token(token)}
    if alive(pid, born):
        for process in psutil.process_iter():
            if _session(process.pid) == pid:
                found[process.pid] = process
    return [process for process in found.values() if birth(process.pid)]


def end(pid: int, born: str, token: str, number: signal.Signals, grace_seconds: float, hurry: Hurry = None) -> bool:
    """End the process and all it started: `number` to the process, a grace, then SIGKILL to whatever is left.

    A set `hurry` cuts the grace short. Returns whether nothing is left.
    """
    rushed = hurry if hurry is not None else threading.Event()
    family = members(pid, born, token)
    if alive(pid, born):
        _send(pid, born, number)
        _until(lambda: not alive(pid, born), grace_seconds, rushed)
    # Workers whose parent was killed hear of it only now; those it ended itself are gone.
    left = _living({*family, *members(pid, born, token)})
    for process in left:
        _signal(process, signal.SIGTERM)
    _until(lambda: not _living(set(left)), min(grace_seconds, 1.0), rushed)
    for process in _living({*left, *members(pid, born, token)}):
        _signal(process, signal.SIGKILL)
    return _until(lambda: not members(pid, born, token), _KILL_WAIT_SECONDS, threading.Event())


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]


def _carries(process: psutil.Process, token: str) -> bool:
    try:
        return process.environ().get(TOKEN) == token
    except (psutil.Error, OSError):
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _living(processes: set[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and birth(process.pid)]


def _send(pid: int, born: str, number: signal.Signals) -> None:
    if alive(pid, born):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _until(done: Callable[[], object], seconds: float, hurry: threading.Event) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline or hurry.is_set():
            return bool(done())
        time.sleep(_POLL_SECONDS)
    return True
