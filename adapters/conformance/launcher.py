"""What every launcher promises, one test a promise. Give the class `launcher` and `another`, run it with pytest.

`another()` is a second launcher of the same place, as a later process would open it. Tasks run
`adapters.conformance.launcher_task`, which the place must be able to import.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import AdapterError, Conflict, Invalid, NotFound
from adapters.ports import Launcher, Task, TaskState, TaskStatus

MODULE = "adapters.conformance.launcher_task"
END_SECONDS = 30.0
FINAL = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED)


class LauncherSuite:
    """The promises of `adapters.ports.Launcher`. Each test launches tasks of its own."""

    @pytest.fixture
    def task(self, launcher: Launcher) -> Iterator[Callable[..., Task]]:
        """Makes tasks that run a verb; whatever of them still runs is stopped at the end."""
        made: list[str] = []

        def make(verb: str, *args: object, **fields: Any) -> Task:
            made.append(f"test-{os.urandom(6).hex()}")
            return Task(made[-1], MODULE, (verb, *map(str, args)), **fields)

        yield make
        for name in made:
            try:
                launcher.stop(name, grace_seconds=0)
            except NotFound:
                continue

    # ------------------------------------------------------------------------------------------------- how it ends

    def test_a_task_that_exits_with_zero_has_succeeded(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("exit", 0))
        assert ended(launcher, launched) == TaskStatus(TaskState.SUCCEEDED, exit_code=0)

    def test_a_task_that_exits_otherwise_has_failed_with_its_code(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        status = ended(launcher, _launch(launcher, task("exit", 3)))
        assert (status.state, status.exit_code) == (TaskState.FAILED, 3)
        assert "3" in status.reason

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_a_task_that_a_signal_ends_has_failed_with_its_negative(
        self, launcher: Launcher, task: Callable[..., Task], number: signal.Signals
    ) -> None:
        status = ended(launcher, _launch(launcher, task("kill", int(number))))
        assert (status.state, status.exit_code) == (TaskState.FAILED, -number)
        assert number.name in status.reason

    def test_a_module_that_is_not_there_fails_and_the_log_says_so(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, replace(task("exit", 0), module="no.such.module"))
        assert ended(launcher, launched).state == TaskState.FAILED
        assert any("no" in line and "module" in line.lower() for line in launcher.logs(launched.name))

    def test_a_task_that_runs_says_so_and_has_no_exit_code(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("wait"))
        until_it_says(launcher, launched, "ready")
        assert launcher.status(launched.name) == TaskStatus(TaskState.RUNNING)

    def test_a_final_state_never_changes(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("exit", 4))
        status = ended(launcher, launched)
        launcher.stop(launched.name)
        launcher.launch(launched)
        assert launcher.status(launched.name) == status

    # --------------------------------------------------------------------------------------------- what it is given

    def test_a_task_gets_its_arguments_as_they_are(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("echo", "a b", "", "$HOME", "--flag=é", "'\""))
        assert ended(launcher, launched).state == TaskState.SUCCEEDED
        assert launcher.logs(launched.name)[:5] == ["a b", "", "$HOME", "--flag=é", "'\""]

    def test_a_task_gets_its_environment(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("show", "SOME_VARIABLE", env={"SOME_VARIABLE": "a=b c"}))
        assert ended(launcher, launched).state == TaskState.SUCCEEDED
        assert launcher.logs(launched.name) == ["a=b c"]

    # ----------------------------------------------------------------------------------------------------- launching

    def test_the_same_task_again_is_no_second_start(
        self, launcher: Launcher, another: Callable[[], Launcher], task: Callable[..., Task], tmp_path: Path
    ) -> None:
        launched = _launch(launcher, task("append", tmp_path / "starts"))
        for again in (launcher, another()):
            again.launch(launched)
        ended(launcher, launched)
        another().launch(replace(launched, args=list(launched.args), env={}))
        assert len((tmp_path / "starts").read_text().splitlines()) == 1

    def test_another_task_of_the_same_name_is_a_conflict_that_names_what_differs(
        self, launcher: Launcher, another: Callable[[], Launcher], task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("exit", 0))
        changes: dict[str, Any] = {
            "args": ("exit", "1"), "env": {"A": "b"}, "module": "json.tool", "cpu": 2.0, "gpus": 1,
            "memory_bytes": 5, "deadline_seconds": 9.0,
        }  # fmt: skip
        for field, value in changes.items():
            with pytest.raises(Conflict, match=field) as refusal:
                another().launch(replace(launched, **{field: value}))
            assert refusal.value.name == launched.name

    def test_of_many_that_launch_one_task_at_once_one_starts_it(
        self, another: Callable[[], Launcher], task: Callable[..., Task], tmp_path: Path
    ) -> None:
        contested = task("append", tmp_path / "starts")
        launchers = [another() for _ in range(4)]
        barrier = threading.Barrier(len(launchers))

        def race(launcher: Launcher) -> None:
            barrier.wait(30)
            launcher.launch(contested)

        with ThreadPoolExecutor(len(launchers)) as pool:
            list(pool.map(race, launchers))
        assert ended(launchers[0], contested).state == TaskState.SUCCEEDED
        assert len((tmp_path / "starts").read_text().splitlines()) == 1

    @pytest.mark.parametrize("wrong", ["", "a/b", "..", "A", "a_b", "-a", "a" * 64, "a\n", None], ids=repr)
    def test_a_name_that_some_platform_refuses_is_refused_everywhere(
        self, launcher: Launcher, task: Callable[..., Task], wrong: Any
    ) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: launcher.launch(replace(task("exit", 0), name=wrong)),
            lambda: launcher.status(wrong),
            lambda: launcher.stop(wrong),
            lambda: launcher.logs(wrong),
        ]
        for call in calls:
            with pytest.raises(Invalid):
                call()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"module": ""},
            {"module": "a b"},
            {"module": "-c"},
            {"args": "text"},
            {"args": ("nul\0",)},
            {"env": {"A=B": "c"}},
            {"env": {"": "c"}},
            {"deadline_seconds": 0.0},
            {"deadline_seconds": float("nan")},
        ],
        ids=repr,
    )
    def test_a_task_that_cannot_be_run_is_refused_by_field_and_not_recorded(
        self, launcher: Launcher, task: Callable[..., Task], wrong: dict[str, Any]
    ) -> None:
        refused = replace(task("exit", 0), **wrong)
        with pytest.raises(Invalid, match=next(iter(wrong))):
            launcher.launch(refused)
        with pytest.raises(NotFound):
            launcher.status(refused.name)

    def test_a_task_that_nobody_launched_is_not_found(self, launcher: Launcher) -> None:
        for call in (launcher.status, launcher.stop, launcher.logs):
            with pytest.raises(NotFound) as refusal:
                call("nobody-launched-this")
            assert refusal.value.name == "nobody-launched-this"

    # ------------------------------------------------------------------------------------------------------ stopping

    def test_stop_ends_a_task_and_its_state_is_final_when_it_returns(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("wait"))
        until_it_says(launcher, launched, "ready")
        launcher.stop(launched.name)
        status = launcher.status(launched.name)
        assert (status.state, status.exit_code) == (TaskState.STOPPED, -signal.SIGTERM)

    def test_a_task_may_end_by_itself_within_the_grace(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("polite", 7))
        until_it_says(launcher, launched, "ready")
        launcher.stop(launched.name)
        status = launcher.status(launched.name)
        assert (status.state, status.exit_code) == (TaskState.STOPPED, 7)

    @pytest.mark.parametrize("grace", [0.0, 0.3])
    def test_a_task_that_lets_sigterm_pass_is_killed_after_the_grace_and_not_before(
        self, launcher: Launcher, task: Callable[..., Task], grace: float
    ) -> None:
        launched = _launch(launcher, task("stubborn"))
        until_it_says(launcher, launched, "ready")
        began = time.monotonic()
        launcher.stop(launched.name, grace_seconds=grace)
        assert time.monotonic() - began >= grace
        status = launcher.status(launched.name)
        assert (status.state, status.exit_code) == (TaskState.STOPPED, -signal.SIGKILL)

    def test_another_launcher_may_stop_it_and_a_shorter_grace_counts(
        self, launcher: Launcher, another: Callable[[], Launcher], task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("stubborn"))
        until_it_says(launcher, launched, "ready")
        with ThreadPoolExecutor(1) as pool:
            patient = pool.submit(launcher.stop, launched.name, grace_seconds=END_SECONDS)
            another().stop(launched.name, grace_seconds=0)
            patient.result(END_SECONDS)
        assert launcher.status(launched.name).state == TaskState.STOPPED

    @pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf")])
    def test_a_grace_that_cannot_be_is_refused(
        self, launcher: Launcher, task: Callable[..., Task], grace: float
    ) -> None:
        launched = _launch(launcher, task("exit", 0))
        with pytest.raises(Invalid, match="grace_seconds"):
            launcher.stop(launched.name, grace_seconds=grace)

    # ------------------------------------------------------------------------------------------------------ deadline

    def test_a_task_past_its_deadline_is_ended_and_has_failed(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("wait", deadline_seconds=0.5))
        status = ended(launcher, launched)
        assert (status.state, status.exit_code) == (TaskState.FAILED, -signal.SIGTERM)
        assert "deadline" in status.reason

    def test_a_task_within_its_deadline_is_left_alone(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        assert ended(launcher, _launch(launcher, task("exit", 0, deadline_seconds=60))).state == TaskState.SUCCEEDED

    # ---------------------------------------------------------------------------------------------------------- logs

    def test_logs_are_the_last_lines_oldest_first(self, launcher: Launcher, task: Callable[..., Task]) -> None:
        launched = _launch(launcher, task("say", 300))
        ended(launcher, launched)
        assert launcher.logs(launched.name) == [f"line {number}" for number in range(100, 300)]
        assert launcher.logs(launched.name, tail=2) == ["line 298", "line 299"]
        assert len(launcher.logs(launched.name, tail=10_000)) == 300
        assert launcher.logs(launched.name, tail=0) == []
        with pytest.raises(Invalid, match="tail"):
            launcher.logs(launched.name, tail=-1)

    def test_logs_hold_both_streams_and_survive_the_task_that_is_killed(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("echo", "on standard output"))
        ended(launcher, launched)
        assert sorted(launcher.logs(launched.name)) == ["on standard error", "on standard output"]

    def test_a_task_that_talks_without_end_leaves_a_bounded_log_with_its_last_words(
        self, launcher: Launcher, task: Callable[..., Task]
    ) -> None:
        launched = _launch(launcher, task("say", 12_000, 1000))  # 12 MB
        assert ended(launcher, launched).state == TaskState.SUCCEEDED
        kept = launcher.logs(launched.name, tail=12_000)
        assert 1000 < len(kept) < 12_000
        assert [line.rstrip(".") for line in kept[-1000:]] == [f"line {number}" for number in range(11_000, 12_000)]

    # ------------------------------------------------------------------------------------------------------- the end

    @pytest.mark.parametrize("then", ["wait", "leave"])
    def test_what_a_task_started_ends_with_it(
        self, launcher: Launcher, task: Callable[..., Task], tmp_path: Path, then: str
    ) -> None:
        launched = _launch(launcher, task("family", tmp_path / "pids", then))
        _wait(lambda: (tmp_path / "pids").exists(), "the task to start its child")
        if then == "wait":
            launcher.stop(launched.name, grace_seconds=0)
        ended(launcher, launched)
        for pid in map(int, (tmp_path / "pids").read_text().split()):
            _wait(lambda pid=pid: not is_alive(pid), f"process {pid} to be gone")


def _launch(launcher: Launcher, task: Task) -> Task:
    launcher.launch(task)
    return task


def ended(launcher: Launcher, task: Task) -> TaskStatus:
    """The task's final state, waited for."""
    _wait(lambda: launcher.status(task.name).state in FINAL, f"{task.name} to end")
    return launcher.status(task.name)


def until_it_says(launcher: Launcher, task: Task, line: str) -> None:
    """Wait until the line stands in the task's log."""
    _wait(lambda: line in launcher.logs(task.name), f"{task.name} to say {line!r}")


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _wait(event: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            if event():
                return
        except AdapterError as error:
            raise AssertionError(f"waiting for {what}: {error}") from error
        assert time.monotonic() < deadline, f"waited {END_SECONDS:g} s for {what}"
        time.sleep(0.02)
