"""What cannot be timed from outside an engine: lost answers, ports lost at the last moment, set-up commands."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.providers.base import Call, ProviderError, State
from infra.providers.local import identity, launch, ports, records, spec
from infra.providers.local.process import Process
from tests.deadline import until
from tests.infra.engine import COUNTER

CALL = Call("urn:pulumi:test::handling::isthmus:local:Process::counter")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    records.reap("handling/test", home=tmp_path / "home")


def counter(*args: str, **more: Any) -> dict[str, Any]:
    wanted = {
        "program": "python-infra",
        "args": [str(COUNTER), "{port.http}", "{data}", *args],
        "ports": {"http": 0},
        "ready": [{"kind": "http", "port": "http"}],
        **more,
    }
    checked = spec.check(wanted)
    assert checked.failures == []
    return checked.inputs


def starts(state: State) -> int:
    return int((Path(state.outputs["data"]) / "starts").read_text())


def test_a_create_whose_answer_was_lost_is_answered_with_the_same_process() -> None:
    first = Process().create(CALL, counter())
    assert Process().create(CALL, counter()) == first and starts(first) == 1


def test_an_update_whose_answer_was_lost_and_is_not_wanted_any_more_is_undone() -> None:
    before = Process().create(CALL, counter())
    Process().update(CALL, before, counter("--greeting", "changed"))
    seen = Process().read(CALL, before)
    assert seen is not None and Process().diff(CALL, seen, before.inputs).touches("running")
    after = Process().update(CALL, seen, before.inputs)
    assert after["ports"] == before.outputs["ports"] and starts(before) == 3
    assert Process().read(CALL, State(before.id, before.inputs, after)) == State(before.id, before.inputs, after)


def test_what_the_program_does_not_feel_is_updated_without_a_restart() -> None:
    before = Process().create(CALL, counter())
    news = counter(keep_data=False, ready_timeout_seconds=33.0, urls={"page": "http://{host}:{port.http}"})
    after = Process().update(CALL, before, news)
    assert after == before.outputs | {"urls": {"page": f"http://127.0.0.1:{before.outputs['ports']['http']}"}}
    assert starts(before) == 1 and records.list_records()[0].keep_data is False


def test_two_stacks_of_one_home_run_side_by_side_and_are_ended_apart() -> None:
    other = Call("urn:pulumi:other::handling::isthmus:local:Process::counter")
    one, two = Process().create(CALL, counter()), Process().create(other, counter())
    assert one.outputs["ports"] != two.outputs["ports"] and one.outputs["data"] != two.outputs["data"]
    assert [ended.record.pid for ended in records.reap("handling/other")] == [two.outputs["pid"]]
    assert Process().read(CALL, one) == one
    seen = Process().read(other, two)
    assert seen is not None and seen.outputs["running"] is False


def test_a_port_that_was_asked_for_by_number_and_is_taken_is_told_with_its_holder() -> None:
    first = Process().create(CALL, counter())
    port = first.outputs["ports"]["http"]
    other = Call("urn:pulumi:test::handling::isthmus:local:Process::other")
    ours = rf"port {port} \('http'\) is taken by counter of stack handling/test \(pid {first.outputs['pid']}\): end"
    with pytest.raises(ProviderError, match=ours):
        Process().create(other, {**counter(), "ports": {"http": port}})
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ProviderError, match=rf"port {port} .* is taken by \S+ \(pid {os.getpid()}\)"):
            Process().create(other, {**counter(), "ports": {"http": port}})
    assert Process().create(other, {**counter(), "ports": {"http": port}}).outputs["ports"] == {"http": port}


def test_a_port_that_is_taken_between_the_choice_and_the_start_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Process().create(CALL, counter())
    port = first.outputs["ports"]["http"]
    Process().delete(CALL, first)
    really = ports.is_free
    asked: list[int] = []

    def free_at_first(number: int) -> bool:
        asked.append(number)
        return really(number) or (number == port and asked.count(port) == 1)

    monkeypatch.setattr(ports, "is_free", free_at_first)
    with socket.create_server(("127.0.0.1", port)):
        second = Process().create(CALL, counter())
    assert asked.count(port) >= 2 and second.outputs["ports"]["http"] != port


def test_a_server_of_somebody_else_on_its_port_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(ports, "is_free", lambda number: True)
        inputs = counter("--hang", ready=[{"kind": "tcp", "port": "http"}], ready_timeout_seconds=0.5)
        with pytest.raises(ProviderError, match=r"gave up after 0\.5 s"):
            Process().create(CALL, {**inputs, "ports": {"http": port}})


def test_set_up_commands_run_once_on_new_data_and_again_when_the_data_was_lost() -> None:
    append = "import sys; open(sys.argv[1] + '/../setup.log', 'a').write('x')"
    inputs = counter(setup=[["-c", append, "{data}"]])
    state = Process().create(CALL, inputs)
    done = Path(state.outputs["dir"]) / "setup.log"
    Process().delete(CALL, state)
    Process().create(CALL, inputs)
    assert done.read_text() == "x"
    Process().delete(CALL, state)
    data = Path(state.outputs["data"])
    data.rename(data.with_name("lost"))
    assert Process().create(CALL, inputs).outputs["data_id"] != state.outputs["data_id"]
    assert done.read_text() == "xx"


def test_a_set_up_command_that_fails_is_told_and_runs_again_the_next_time() -> None:
    fail_once = (
        "import os, sys; f = sys.argv[1] + '/../once'; n = os.path.exists(f); open(f, 'w'); sys.exit(0 if n else 4)"
    )
    inputs = counter(setup=[["-c", fail_once, "{data}"]])
    with pytest.raises(ProviderError, match=r"counter: its set-up command 1 \(-c import os.*\) ended with exit code 4"):
        Process().create(CALL, inputs)
    assert records.list_records() == []
    assert starts(Process().create(CALL, inputs)) == 1


def test_a_program_without_a_probe_that_cannot_even_start_is_noticed() -> None:
    inputs = spec.check({"program": "python-infra", "args": ["-c", "import no_such_module"]}).inputs
    with pytest.raises(ProviderError, match=r"(?s)ended with exit code 1 before it was ready.*no_such_module"):
        Process().create(CALL, inputs)


def test_another_home_is_refused_while_the_first_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = Process().create(CALL, counter())
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "other"))
    for operation in (Process().read, Process().delete):
        with pytest.raises(ProviderError, match=f"was started with ISTHMUS_HOME={tmp_path / 'home'}, and this is"):
            operation(CALL, state)


def test_what_it_is_started_with_tells_whether_it_is_restarted() -> None:
    def digest(**more: Any) -> str:
        return launch.digest(launch.msgspec.convert(counter(**more), spec.ProcessInputs))

    same = digest()
    assert digest(keep_data=False, ready_timeout_seconds=5, urls={"u": "x"}, stop={"signal": "INT"}) == same
    felt = [{"revision": "2"}, {"env": {"A": "b"}}, {"files": {"f": ""}}, {"secrets": ["k"]}, {"ports": {"http": 9}}]
    assert len({same, *(digest(**more) for more in felt)}) == len(felt) + 1


def test_workers_that_outlive_their_parent_are_ended_before_the_next_start() -> None:
    state = Process().create(CALL, counter("--worker"))
    worker = int((Path(state.outputs["data"]) / "worker").read_text())
    record = records.list_records()[0]
    identity.psutil.Process(record.pid).kill()
    until(lambda: not record.alive, seconds=5, what="its end")
    assert identity.birth(worker)
    Process().update(CALL, State(state.id, state.inputs, {**state.outputs, "running": False}), state.inputs)
    assert not identity.birth(worker), sys.executable


def test_one_whose_provider_died_between_the_spawn_and_the_note_of_its_pid_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Crash(BaseException):
        """The provider is gone: nothing after this line of it runs."""

    spawned: list[int] = []

    popen = subprocess.Popen

    def spawn_and_crash(*args: Any, **options: Any) -> None:
        spawned.append(popen(*args, **options).pid)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(launch.subprocess, "Popen", spawn_and_crash)
        with pytest.raises(Crash):
            Process().create(CALL, counter())
    assert records.list_records()[0].phase == "started", "found by its token"
    state = Process().create(CALL, counter())
    assert [state.outputs["pid"]] == spawned and starts(state) == 1
