"""The process that stands by one task: starts it, keeps its output, ends it in time, and writes down how it ended.

It outlives whoever launched the task, so it is a program of its own, on the standard library alone (10 ms to start).
In the task's folder:

    task.json     what to run, written by the launcher before anything is started
    process.json  who runs it: written before the task is started and again once it is
    final.json    how it ended, written last and never changed
    output.log    its output, the newest part; output.log.1 the part before
    control       a named pipe: "stop SECONDS" asks for the task's end
    alive         held locked by this process for as long as it lives: the kernel lets go of it, whatever kills us

Started with that folder and the descriptor of the locked `alive`. Prints one line, "started" or the reason why not, on
standard output once process.json is written, and closes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

TASK, PROCESS, FINAL = "task.json", "process.json", "final.json"
CONTROL, ALIVE, LOG, OLDER_LOG = "control", "alive", "output.log", "output.log.1"
# In the environment of a task and of all that it starts: by this they are known when their supervisor is gone.
MARK = "ISTHMUS_TASK_MARK"
LOG_BYTES = 4 << 20
READ_BYTES = 64 << 10
DEADLINE_GRACE_SECONDS = 5.0
TERMINATED_GRACE_SECONDS = 10.0
NEVER = float("inf")
NOT_STARTED = 127
KILL_ATTEMPTS = 200
PIPE_READS = 64


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Store a document durably, whole or not at all, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def session_members(session: int) -> list[int]:
    """Every process of a session but ourselves."""
    found = []
    for pid in _pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session and pid != os.getpid():
                found.append(pid)
    return found


def kill_all(find: Callable[[], list[int]]) -> None:
    """SIGKILL every process that `find` names, and again while it names any: they may have started others meanwhile."""
    for _ in range(KILL_ATTEMPTS):
        living = [pid for pid in find() if not _is_zombie(pid)]
        if not living:
            return
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def start_mark(pid: int) -> str:
    """When a process started, as the kernel counts it: with the pid it tells one process from a later one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _pids() -> list[int]:
    if os.path.isdir("/proc/self"):  # noqa: PTH112  # a string comparison's worth of imports less
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    listed = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=False, timeout=10)
    return [int(line) for line in listed.stdout.split()]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


class Log:
    """The task's output on disk, of which the newest LOG_BYTES at least and twice as much at most are kept."""

    def __init__(self, folder: Path) -> None:
        self._path, self._older = folder / LOG, folder / OLDER_LOG
        self._file = self._create()
        self._written = 0

    def write(self, chunk: bytes) -> None:
        """Append, and begin a new file where this one is full. A full disk costs output and never the task."""
        if self._written + len(chunk) > LOG_BYTES:
            self._file.close()
            self._path.replace(self._older)
            self._file = self._create()
            self._written = 0
        with contextlib.suppress(OSError):
            self._file.write(chunk)
        self._written += len(chunk)

    def close(self) -> None:
        """All that was written is on its way to the disk."""
        self._file.close()

    def _create(self) -> IO[bytes]:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "wb", buffering=0)


class Supervisor:
    """One task from its start to its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._task: dict[str, Any] = json.loads((folder / TASK).read_text())
        self._mark = os.urandom(16).hex()
        self._log = Log(folder)
        self._control = os.open(folder / CONTROL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._kill_at = NEVER
        self._state, self._reason = "", ""  # what its end will count as, once we asked for it
        self._group = 0

    def run(self, tell: IO[str]) -> None:
        """Start the task and stand by it to its end."""
        self._record(None)
        tell.write("started\n")
        tell.close()
        try:
            child = self._start()
        except OSError as error:
            self._finish("failed", NOT_STARTED, f"could not be started: {error}")
            return
        self._record(child.pid)
        self._stand_by(child)
        self._clean_up(child)
        self._conclude(child.returncode)

    def _start(self) -> subprocess.Popen[bytes]:
        # Added to what the launcher's own environment handed down; nothing of that is read here.
        for name, value in {**self._task["env"], MARK: self._mark}.items():
            os.putenv(name, value)
        return subprocess.Popen(
            # Unbuffered: otherwise a SIGKILL would take the task's last lines with it.
            [self._task["python"], "-u", "-m", self._task["module"], *self._task["args"]],
            cwd=self._task["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    def _stand_by(self, child: subprocess.Popen[bytes]) -> None:
        """Until the task has ended: its output to the log, requests and times to their effect."""
        assert child.stdout is not None
        self._group = child.pid
        os.set_blocking(child.stdout.fileno(), False)
        ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._selector.register(child.stdout, selectors.EVENT_READ, self._copy)
        self._selector.register(self._control, selectors.EVENT_READ, self._obey)
        self._selector.register(ended, selectors.EVENT_READ, _drain)
        deadline = time.monotonic() + (self._task["deadline_seconds"] or NEVER)
        while child.poll() is None:
            now = time.monotonic()
            if now >= self._kill_at:
                self._signal(signal.SIGKILL)
                self._kill_at = NEVER
            if now >= deadline:
                seconds = self._task["deadline_seconds"]
                self._end("failed", f"ran past its deadline of {seconds:g} s", DEADLINE_GRACE_SECONDS)
                deadline = NEVER
            wait = min(deadline, self._kill_at) - now
            for key, _ in self._selector.select(None if wait == NEVER else max(0.0, wait)):
                key.data(key.fileobj)

    def _clean_up(self, child: subprocess.Popen[bytes]) -> None:
        """What the task left running goes with it, as it would with a container; then the rest of its output."""
        if os.getsid(0) == os.getpid():  # or it would be the session of whoever started us
            kill_all(lambda: session_members(os.getpid()))
        assert child.stdout is not None
        # Bounded: a process that left the session may hold the pipe open and go on talking.
        for _ in range(PIPE_READS):
            if not self._copy(child.stdout):
                break
        self._log.close()

    def _conclude(self, code: int) -> None:
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if self._state:
            self._finish(self._state, code, self._reason)
        else:
            self._finish("failed" if code else "succeeded", code, how if code else "")

    def _end(self, state: str, reason: str, grace: float) -> None:
        """Ask the task to end, and make it after the grace; the first reason counts, the shortest grace too."""
        if not self._state:
            self._state, self._reason = state, reason
            self._signal(signal.SIGTERM)
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def _signal(self, number: int) -> None:
        # Not reaped yet, or we would not be here: so this group is the task's and no later one's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._end("stopped", f"its supervisor got {signal.Signals(number).name}", TERMINATED_GRACE_SECONDS)

    def _copy(self, pipe: IO[bytes]) -> bool:
        """One read of what is there; whether there may be more."""
        try:
            chunk = os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if chunk:
            self._log.write(chunk)
            return True
        with contextlib.suppress(KeyError):  # closed by the task before its end
            self._selector.unregister(pipe)
        return False

    def _obey(self, control: int) -> None:
        for line in os.read(control, 4096).decode(errors="replace").splitlines():
            verb, _, seconds = line.partition(" ")
            if verb == "stop":
                with contextlib.suppress(ValueError):
                    self._end("stopped", "stopped on request", float(seconds))

    def _record(self, task_pid: int | None) -> None:
        own = {"supervisor_pid": os.getpid(), "supervisor_start": start_mark(os.getpid()), "mark": self._mark}
        theirs = {} if task_pid is None else {"task_pid": task_pid, "task_start": start_mark(task_pid)}
        write_json(self._folder / PROCESS, own | theirs | {"written": time.time()})

    def _finish(self, state: str, code: int, reason: str) -> None:
        write_json(self._folder / FINAL, {"state": state, "exit_code": code, "reason": reason, "ended": time.time()})


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(descriptor, 4096)


def main(folder: Path) -> None:
    """Leave the launcher: its session, its terminal, its standard streams and, by a second fork, its children."""
    if os.fork():
        os._exit(0)
    os.setsid()
    tell = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "r+b") as null:
        for stream in (0, 1, 2):
            os.dup2(null.fileno(), stream)
    try:
        Supervisor(folder).run(tell)
    except Exception as error:
        # Whoever launched still listens if this was early; later the missing final.json says that we failed.
        if not tell.closed:
            tell.write(f"{type(error).__name__}: {error}\n")
            tell.close()
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
