"""Tasks as processes of this machine, each under a supervisor that outlives us.

All that is known of a task lies in `<folder>/<name>` (see `supervisor`), so another launcher on the same folder, later or
at the same time, knows as much. Of a task's `cpu`, `memory_bytes` and `gpus` nothing is enforced: whoever schedules onto
this machine counts them.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from adapters.drivers.launcher import supervisor
from adapters.drivers.launcher.locks import hold, locked, wait_for
from adapters.errors import Conflict, Corrupt, DeadlineExceeded, Invalid, NotFound, Transient
from adapters.ports import Task, TaskState, TaskStatus
from adapters.settings import LauncherSettings

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
LAUNCH = "launch"
LOCK_SECONDS = 30.0
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LOST = {"state": "failed", "exit_code": -9, "reason": "lost: the machine or the task's supervisor went down"}
UNSTARTED = {"state": "stopped", "exit_code": -15, "reason": "stopped before it was started"}


def open(section: LauncherSettings) -> ProcessLauncher:
    """The launcher whose records lie in `section.folder`. Raises Invalid where none is named."""
    if not section.folder:
        raise Invalid(
            "no folder is named", name="launcher.folder", cure="set ISTHMUS_LAUNCHER_FOLDER or run `isthmus up`"
        )
    return ProcessLauncher(Path(section.folder))


class ProcessLauncher:
    """The port over a folder of records. It keeps nothing in memory and need not be closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def __repr__(self) -> str:
        return f"ProcessLauncher({str(self._folder)!r})"

    def launch(self, task: Task) -> None:
        content = _content(task)
        folder = self._folder / _checked(task.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder / LAUNCH, seconds=LOCK_SECONDS, name=task.name):
            stored = _read(folder / supervisor.TASK)
            if stored is None:
                # What is intended is written down first: a launcher that dies now leaves a task that can be started.
                where = {"python": sys.executable, "cwd": str(Path.cwd())}
                supervisor.write_json(folder / supervisor.TASK, content | where)
            elif {field: stored.get(field) for field in content} != content:
                changed = ", ".join(field for field in content if stored.get(field) != content[field])
                raise Conflict(
                    f"a task of this name has another {changed}", name=task.name, cure="give another task another name"
                )
            self._start(task.name, folder)

    def status(self, name: str) -> TaskStatus:
        folder = self._known(name)
        if (ended := _final(folder)) is not None:
            return ended
        process = _read(folder / supervisor.PROCESS)
        if not _is_free(folder):
            running = process is not None and "task_pid" in process
            return TaskStatus(TaskState.RUNNING if running else TaskState.PENDING)
        with locked(folder / LAUNCH, seconds=LOCK_SECONDS, name=name):
            return self._settled(folder) or TaskStatus(TaskState.PENDING, reason="not started yet: launch it again")

    def stop(self, name: str, *, grace_seconds: float = 30.0) -> None:
        if not math.isfinite(grace_seconds) or grace_seconds < 0:
            raise Invalid(f"grace_seconds must be 0 or more, this is {grace_seconds!r}", name=name)
        folder = self._known(name)
        # Under the lock nobody is half way through a start, so a supervisor that lives is listening.
        with locked(folder / LAUNCH, seconds=LOCK_SECONDS, name=name):
            if _final(folder) is None and _is_free(folder):
                if self._settled(folder) is None:
                    supervisor.write_json(folder / supervisor.FINAL, UNSTARTED | {"ended": time.time()})
            elif _final(folder) is None:
                _ask(folder, f"stop {grace_seconds}\n")
        self._await_end(name, folder, grace_seconds)

    def logs(self, name: str, *, tail: int = 200) -> list[str]:
        folder = self._known(name)
        if tail < 0:
            raise Invalid(f"tail must be 0 or more, this is {tail}", name=name)
        newest = _output(folder / supervisor.LOG)
        if newest.count(b"\n") < tail:
            older = _output(folder / supervisor.OLDER_LOG)
            # The newest file may have become the older one between the two reads: then it stands in there already.
            newest = older if newest and older.startswith(newest) else older + newest
        lines = newest.decode(errors="replace").removesuffix("\n").split("\n") if newest else []
        return lines[-tail:] if tail else []

    def _start(self, name: str, folder: Path) -> None:
        def started() -> bool:
            return (folder / supervisor.PROCESS).exists() or (folder / supervisor.FINAL).exists()

        # Whoever holds it now is a supervisor that is about to write its record: its launcher died meanwhile.
        with hold(folder / supervisor.ALIVE, seconds=START_SECONDS, unless=started) as alive:
            if started():
                return
            if alive is None:
                raise DeadlineExceeded("its supervisor did not start in time", name=name)
            _make_pipe(folder / supervisor.CONTROL)
            argv = [sys.executable, "-I", "-S", supervisor.__file__, str(folder)]
            try:
                said = subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(alive,),
                    timeout=START_SECONDS,
                    check=False,
                ).stdout.decode(errors="replace")
            except OSError as error:
                raise Transient(f"cannot start a process: {error.strerror}", name=name) from error
            except subprocess.TimeoutExpired as error:
                raise DeadlineExceeded("its supervisor did not start in time", name=name) from error
        if said != "started\n":
            raise Transient(f"its supervisor did not start: {said.strip() or 'it said nothing'}", name=name)

    def _settled(self, folder: Path) -> TaskStatus | None:
        """How a task without a living supervisor ended, None where it never began. Call it under the launch lock."""
        process = _read(folder / supervisor.PROCESS)
        if _final(folder) is None and process is not None:
            supervisor.kill_all(lambda: _orphans(process))
            supervisor.write_json(folder / supervisor.FINAL, LOST | {"ended": time.time()})
        return _final(folder)

    def _await_end(self, name: str, folder: Path, grace_seconds: float) -> None:
        if not wait_for(lambda: _final(folder) is not None or _is_free(folder), seconds=grace_seconds + STOP_SECONDS):
            raise DeadlineExceeded("it did not end", name=name, cure="its processes may wait for a disk or a device")
        self.status(name)

    def _known(self, name: str) -> Path:
        folder = self._folder / _checked(name)
        if not (folder / supervisor.TASK).exists():
            raise NotFound("no such task", name=name, cure="launch it first")
        return folder


def _content(task: Task) -> dict[str, Any]:
    """The task as it is recorded and compared. Raises Invalid, naming the field."""
    problems = {
        "module": not MODULE.fullmatch(task.module),
        "args": isinstance(task.args, str) or not all(isinstance(arg, str) and "\0" not in arg for arg in task.args),
        "env": not all(_is_variable(name, value) for name, value in task.env.items()),
        "deadline_seconds": task.deadline_seconds is not None and not 0 < task.deadline_seconds < math.inf,
    }
    if wrong := [field for field, problem in problems.items() if problem]:
        raise Invalid(
            f"cannot run a task with this {' and '.join(wrong)}", name=task.name, cure="see adapters.ports.Task"
        )
    fields = dataclasses.asdict(task) | {"args": list(task.args), "env": dict(task.env)}
    return json.loads(json.dumps(fields))


def _is_variable(name: object, value: object) -> bool:
    texts = isinstance(name, str) and isinstance(value, str)
    return texts and bool(name) and "=" not in name and "\0" not in name + value  # type: ignore[operator]


def _checked(name: str) -> str:
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise Invalid(
        f"no name of a task: {name!r:.80}",
        cure="use 1 to 63 lower-case letters, digits and inner hyphens, as Kubernetes does",
    )


def _final(folder: Path) -> TaskStatus | None:
    ended = _read(folder / supervisor.FINAL)
    return None if ended is None else TaskStatus(TaskState(ended["state"]), ended["exit_code"], ended["reason"])


def _is_free(folder: Path) -> bool:
    """Whether no supervisor lives."""
    with hold(folder / supervisor.ALIVE, seconds=0, shared=True) as alive:
        return alive is not None


def _orphans(process: dict[str, Any]) -> list[int]:
    """What a supervisor that is gone left running: of its session, and carrying its mark where that can be read."""
    session = process["supervisor_pid"]
    # The kernel gives a pid away only when no process, group or session has it: a new one of that number means that
    # nobody of ours is left.
    if supervisor.start_mark(session) not in ("", process["supervisor_start"]):
        return []
    return [pid for pid in supervisor.session_members(session) if _carries(pid, process["mark"])]


def _carries(pid: int, mark: str) -> bool:
    try:
        return f"{supervisor.MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # gone meanwhile, or a system that does not tell
    except OSError:
        return False


def _ask(folder: Path, request: str) -> None:
    """Tell the supervisor, if it still listens."""
    try:
        control = os.open(folder / supervisor.CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise
    try:
        os.write(control, request.encode())
    finally:
        os.close(control)


def _make_pipe(path: Path) -> None:
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        return


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Corrupt("this record cannot be read", name=str(path), cure="remove the task's folder") from error


def _output(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
