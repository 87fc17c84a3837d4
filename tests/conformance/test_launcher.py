"""The process launcher against the suite, and what becomes of tasks when launchers, supervisors and machines die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.conformance.launcher import MODULE, LauncherSuite, ended, is_alive, until_it_says
from adapters.drivers.launcher import memory, process, supervisor
from adapters.drivers.launcher.process import ProcessLauncher
from adapters.errors import Corrupt, Invalid
from adapters.ports import Launcher, Task, TaskState
from adapters.settings import LauncherSettings
from tests.deadline import until

ROOT = Path(__file__).parent.parent.parent
LAUNCH = """
import os, signal, sys
from adapters.drivers.launcher import process
from adapters.ports import Task
from adapters.settings import LauncherSettings
process.open(LauncherSettings(folder=sys.argv[1])).launch(Task(**eval(sys.argv[2])))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(ROOT)  # from where the tasks import this package
    records = tmp_path / "tasks"
    yield records
    left = [pid for record in records.glob("*/process.json") for pid in _session(record)]
    assert not left, f"processes were left behind: {left}"


def _session(record: Path) -> list[int]:
    session = json.loads(record.read_text())["supervisor_pid"]
    members = [session, *supervisor.session_members(session)]
    until(lambda: not any(map(is_alive, members)), seconds=5, what=f"session {session} to be empty")
    return [pid for pid in members if is_alive(pid)]


class TestProcess(LauncherSuite):
    @pytest.fixture
    def another(self, folder: Path) -> Callable[[], Launcher]:
        return lambda: process.open(LauncherSettings(folder=str(folder)))

    @pytest.fixture
    def launcher(self, another: Callable[[], Launcher]) -> Launcher:
        return another()

    # --------------------------------------------------------------------------------------- launchers come and go

    @pytest.mark.parametrize(
        ("fields", "state", "code"),
        [
            ({"args": ("exit", "5")}, TaskState.FAILED, 5),
            ({"args": ("exit", "0")}, TaskState.SUCCEEDED, 0),
            ({"args": ("wait",), "deadline_seconds": 0.5}, TaskState.FAILED, -signal.SIGTERM),
        ],
        ids=["exit code", "success", "deadline"],
    )
    def test_a_task_outlives_its_launcher_and_how_it_ended_is_known(
        self, launcher: Launcher, folder: Path, fields: dict[str, object], state: TaskState, code: int
    ) -> None:
        task = Task("outlives", MODULE, **fields)  # type: ignore[arg-type]
        _launch_and_die(folder, {"name": "outlives", "module": MODULE, **fields})
        status = ended(launcher, task)
        assert (status.state, status.exit_code) == (state, code)
        launcher.launch(task)
        assert launcher.status("outlives") == status

    def test_a_later_launcher_stops_what_an_earlier_one_started(self, launcher: Launcher, folder: Path) -> None:
        task = Task("earlier", MODULE, ("stubborn",))
        _launch_and_die(folder, {"name": "earlier", "module": MODULE, "args": ("stubborn",)})
        until_it_says(launcher, task, "ready")
        launcher.stop("earlier", grace_seconds=0)
        assert launcher.status("earlier").exit_code == -signal.SIGKILL

    def test_an_intention_that_its_launcher_did_not_live_to_carry_out_is_pending_and_can_be_launched(
        self, launcher: ProcessLauncher, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = Task("intended", MODULE, ("exit", "0"))
        with monkeypatch.context() as patch:
            patch.setattr(ProcessLauncher, "_start", lambda *_: None)
            launcher.launch(task)
        assert launcher.status("intended").state == TaskState.PENDING
        launcher.launch(task)
        assert ended(launcher, task).state == TaskState.SUCCEEDED

    def test_an_intention_that_is_stopped_never_starts(
        self, launcher: ProcessLauncher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        task = Task("never", MODULE, ("append", str(tmp_path / "starts")))
        with monkeypatch.context() as patch:
            patch.setattr(ProcessLauncher, "_start", lambda *_: None)
            launcher.launch(task)
        launcher.stop("never")
        launcher.launch(task)
        assert launcher.status("never").state == TaskState.STOPPED
        assert not (tmp_path / "starts").exists()

    def test_many_processes_that_launch_one_task_at_once_start_it_once(self, launcher: Launcher, folder: Path) -> None:
        starts = folder.parent / "starts"
        fields = {"name": "raced", "module": MODULE, "args": ("append", str(starts))}
        racers = [_launching(folder, fields) for _ in range(4)]
        assert [racer.wait(30) for racer in racers] == [-signal.SIGKILL] * 4
        assert ended(launcher, Task(**fields)).state == TaskState.SUCCEEDED  # type: ignore[arg-type]
        assert len(starts.read_text().splitlines()) == 1

    # ---------------------------------------------------------------------------------------- supervisors are killed

    def test_a_task_whose_supervisor_is_killed_has_failed_and_nothing_of_it_runs_on(
        self, launcher: Launcher, folder: Path
    ) -> None:
        pids = folder.parent / "pids"
        task = Task("orphaned", MODULE, ("family", str(pids), "wait"))
        launcher.launch(task)
        until(pids.exists, what="the task's child")
        family = [int(pid) for pid in pids.read_text().split()]
        os.kill(_record(folder, "orphaned")["supervisor_pid"], signal.SIGKILL)
        status = ended(launcher, task)
        assert (status.state, status.exit_code) == (TaskState.FAILED, -signal.SIGKILL)
        assert "lost" in status.reason
        until(lambda: not any(map(is_alive, family)), what="the orphans to be gone")

    def test_a_process_that_only_took_over_the_number_is_left_alone(self, launcher: Launcher, folder: Path) -> None:
        task = Task("stale", MODULE, ("exit", "0"))
        launcher.launch(task)
        ended(launcher, task)
        bystander = subprocess.Popen(
            [sys.executable, "-m", MODULE, "wait"], stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            assert bystander.stdout is not None
            bystander.stdout.readline()
            record = _record(folder, "stale") | {"supervisor_pid": bystander.pid}
            (folder / "stale" / supervisor.FINAL).unlink()
            supervisor.write_json(folder / "stale" / supervisor.PROCESS, record)
            assert "lost" in launcher.status("stale").reason
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait(10)

    def test_a_supervisor_that_is_told_to_end_takes_its_task_along(self, launcher: Launcher, folder: Path) -> None:
        task = Task("told", MODULE, ("polite", "0"))
        launcher.launch(task)
        until_it_says(launcher, task, "ready")
        os.kill(_record(folder, "told")["supervisor_pid"], signal.SIGTERM)
        status = ended(launcher, task)
        assert (status.state, status.exit_code) == (TaskState.STOPPED, 0)
        assert "SIGTERM" in status.reason

    # -------------------------------------------------------------------------------------------------------- records

    def test_records_and_logs_are_the_owners_alone(self, launcher: Launcher, folder: Path) -> None:
        task = Task("private", MODULE, ("exit", "0"), env={"TOKEN": "planted"})
        launcher.launch(task)
        ended(launcher, task)
        assert (folder / "private").stat().st_mode & 0o077 == 0
        assert [path.name for path in (folder / "private").iterdir() if path.stat().st_mode & 0o077] == []

    def test_a_task_runs_in_a_session_of_its_own(self, launcher: Launcher, folder: Path) -> None:
        task = Task("apart", MODULE, ("wait",))
        launcher.launch(task)
        until_it_says(launcher, task, "ready")
        record = _record(folder, "apart")
        assert os.getsid(record["task_pid"]) == record["supervisor_pid"] != os.getsid(0)
        assert supervisor.start_mark(record["task_pid"]) == record["task_start"]
        launcher.stop("apart")

    def test_a_record_that_was_damaged_is_refused_by_its_path(self, launcher: Launcher, folder: Path) -> None:
        task = Task("damaged", MODULE, ("exit", "0"))
        launcher.launch(task)
        ended(launcher, task)
        (folder / "damaged" / supervisor.FINAL).write_text("{")
        with pytest.raises(Corrupt, match=r"final\.json"):
            launcher.status("damaged")

    def test_settings_without_a_folder_are_refused_with_the_cure(self) -> None:
        with pytest.raises(Invalid, match="ISTHMUS_LAUNCHER_FOLDER"):
            process.open(LauncherSettings())


def test_a_launcher_in_memory_takes_its_tasks_along_when_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    launcher = memory.open(LauncherSettings())
    task = Task("short-lived", MODULE, ("stubborn",))
    launcher.launch(task)
    until_it_says(launcher, task, "ready")
    [record] = launcher._folder.glob("*/process.json")
    pid = json.loads(record.read_text())["task_pid"]
    launcher.close()
    until(lambda: not is_alive(pid), what="the task to be gone")
    assert not record.exists()


def _record(folder: Path, name: str) -> dict[str, int]:
    return json.loads((folder / name / supervisor.PROCESS).read_text())


def _launching(folder: Path, fields: dict[str, object]) -> subprocess.Popen[bytes]:
    """A process that launches a task and dies of SIGKILL in the same breath."""
    return subprocess.Popen([sys.executable, "-c", LAUNCH, str(folder), repr(fields)], cwd=ROOT)


def _launch_and_die(folder: Path, fields: dict[str, object]) -> None:
    assert _launching(folder, fields).wait(30) == -signal.SIGKILL
