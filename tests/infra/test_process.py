"""`isthmus:local:Process` under the real engine: up, seen, changed, restarted, gone."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from infra.providers.local import identity
from infra.providers.local.ports import HIGHEST
from infra.providers.local.records import list_records
from tests.deadline import until
from tests.infra.engine import Project

COUNTER = """
    counter = Process(
        "counter",
        program="python-infra",
        args=[COUNTER, "{port.http}", "{data}", *ARGS],
        ports=["http"],
        ready=[Http("http")],
        urls={"http": "http://{host}:{port.http}"},
        **MORE,
    )
    for name in ("pid", "ports", "urls", "data", "log", "secret_files", "running"):
        pulumi.export(name, getattr(counter, name))
"""


def counter(*args: str, **more: object) -> str:
    """A program with one counter, given more arguments and more inputs."""
    return f"\n    ARGS = {list(args)!r}\n    MORE = {more!r}\n{COUNTER}"


def answer(project: Project) -> str:
    with urllib.request.urlopen(project.outputs()["urls"]["http"], timeout=5) as response:
        return response.read().decode()


@pytest.fixture
def up(shared: Project) -> Project:
    """The shared project with a counter that greets with hello."""
    shared.write(counter())
    shared.up()
    return shared


def test_up_waits_until_it_answers_and_it_survives_the_engine(up: Project) -> None:
    starts, greeting = answer(up).split()
    assert int(starts) >= 1 and greeting == "hello"
    assert up.outputs()["ports"]["http"] <= HIGHEST
    assert os.getsid(up.outputs()["pid"]) == up.outputs()["pid"]


def test_a_preview_after_up_shows_no_change_and_a_refresh_no_drift(up: Project) -> None:
    up.preview("--expect-no-changes")
    up.refresh("--expect-no-changes")


def test_a_preview_starts_nothing(project: Project) -> None:
    project.write(counter())
    assert "create" in project.preview()
    assert project.processes() == []
    assert not (project.home / "run" / "counting").exists()


def test_a_killed_process_is_seen_by_refresh_and_restarted_with_its_data_and_port_by_up(up: Project) -> None:
    before, starts = up.outputs(), int(answer(up).split()[0])
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: not identity.birth(before["pid"]), what="its end")
    assert "running" in up.refresh("--diff")
    assert up.state()["counter"]["outputs"]["running"] is False
    up.up("--refresh")
    after = up.outputs()
    assert int(answer(up).split()[0]) == starts + 1
    assert after["ports"] == before["ports"] and after["pid"] != before["pid"]
    up.preview("--expect-no-changes")


def test_a_plain_up_restarts_what_has_died_without_being_asked_to_refresh(up: Project) -> None:
    pid = up.outputs()["pid"]
    os.kill(pid, signal.SIGKILL)
    up.up()
    assert up.outputs()["pid"] != pid
    assert len(up.processes()) == 1


def test_a_changed_argument_restarts_it_in_place_with_its_data_and_port(up: Project) -> None:
    before, starts = up.outputs(), int(answer(up).split()[0])
    up.write(counter("--greeting", "goodbye"))
    told = up.preview("--diff")
    assert "(update)" in told and "(replace)" not in told and up.outputs()["pid"] == before["pid"]
    up.up()
    assert answer(up) == f"{starts + 1} goodbye"
    assert up.outputs()["ports"] == before["ports"]
    assert [found.pid for found in up.processes()] == [up.outputs()["pid"]]


def test_what_the_program_does_not_feel_is_updated_without_a_restart(up: Project) -> None:
    before = up.outputs()
    more = counter(keep_data=False, ready_timeout_seconds=33)
    up.write(more.replace('"http": "http', '"page": "http'))
    up.up()
    after = up.outputs()
    assert after["pid"] == before["pid"] and after["urls"] == {"page": before["urls"]["http"]}
    assert up.records()[0].keep_data is False


def test_another_revision_restarts_it(up: Project) -> None:
    before = up.outputs()["pid"]
    up.write(counter(revision="2"))
    up.up()
    assert up.outputs()["pid"] != before


def test_another_program_replaces_it_and_the_old_one_ends_first(up: Project) -> None:
    before = up.outputs()
    up.write(counter().replace('"python-infra"', '"python-runtime"'))
    assert "(replace)" in up.preview("--diff")
    up.up()
    assert not identity.birth(before["pid"])
    assert up.outputs()["ports"] == before["ports"]
    assert len(up.processes()) == 1


def test_destroy_ends_it_and_its_workers_and_keeps_the_data(project: Project) -> None:
    project.write(counter("--worker"))
    project.up()
    assert len(project.processes()) == 2
    data = project.outputs()["data"]
    project.destroy()
    assert project.processes() == [] and project.records() == []
    project.up()
    assert answer(project).startswith("2 ")
    project.write(counter("--worker", keep_data=False))
    project.up()
    project.destroy()
    assert not Path(data).exists()


def test_a_stubborn_process_is_killed_after_its_grace(project: Project) -> None:
    project.write(
        counter("--stubborn", stop={"signal": "TERM", "grace_seconds": 0.3}).replace(
            "**MORE", "stop=Stop(**MORE['stop'])"
        )
    )
    project.up()
    project.destroy()
    assert project.processes() == []


def test_a_process_that_dies_fails_at_once_with_the_end_of_its_log_and_no_secret(project: Project) -> None:
    project.write(counter("--die", secrets=["key"], env={"COUNTER_SECRET": "{secret.key}"}))
    told = project.up(fails=True)
    assert "ended with exit code 3 before it was ready" in told
    assert "my secret is [secret]" in told
    assert project.processes() == [] and "counter" not in project.state()


def test_a_process_that_never_gets_ready_is_given_up_in_time_and_ended(project: Project) -> None:
    project.write(counter("--hang", ready_timeout_seconds=0.5))
    told = project.up(fails=True)
    assert re.search(r"gave up after 0.5 s: not ready: status 200 from http://127.0.0.1:\d+/", told)
    assert project.processes() == [] and project.records() == []


def test_a_taken_port_is_told_with_its_holder(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        project.write(counter().replace('ports=["http"]', f'ports={{"http": {port}}}'))
        told = project.up(fails=True)
    assert f"port {port} ('http') is taken by" in told and f"(pid {os.getpid()})" in told
    project.up()
    assert project.outputs()["ports"] == {"http": port}


def test_two_stacks_of_one_home_run_side_by_side(project: Project) -> None:
    project.write(counter())
    project.up()
    project.pulumi("stack", "init", "other")
    project.up()
    first, second = project.records(), list_records(f"{project.name}/other", project.home)
    assert first[0].ports != second[0].ports and first[0].pid != second[0].pid
    project.destroy()
    assert [found.pid for found in project.processes()] == [first[0].pid]


def test_wrong_inputs_are_refused_before_anything_starts_each_with_its_name(project: Project) -> None:
    project.write("""
        Process("bad", program="no-such-program", args=["{prot.http}", "{port.web}"], ports={"http": 70000},
                ready=[Tcp("grpc"), LogLine("(")], files={"../escape": "x"}, ready_timeout_seconds="soon")
    """)
    told = project.preview(fails=True)
    assert "ports" in told and "ready_timeout_seconds" in told
    project.write("""
        Process("bad", program="no-such-program", args=["{prot.http}", "{port.web}", "{secret.key}"], ports=["http"],
                secrets=["key"], ready=[Tcp("grpc"), LogLine("(")], files={"../escape": "x"})
    """)
    told = project.preview(fails=True)
    for expected in (
        "no tool is called 'no-such-program'",
        "{prot.http} means nothing",
        "{port.web} names a port that is not declared; declared: http",
        "{secret.key} would be seen by everyone",
        "'grpc' is not a declared port",
        "is not a regular expression",
        "is not a plain relative file name",
    ):
        assert expected in told, told
    assert project.processes() == []


def test_a_secret_is_in_its_file_and_nowhere_else(project: Project) -> None:
    project.write(
        counter(secrets=["key"], env={"COUNTER_SECRET": "{secret.key}"})
        + """
    hidden = Process(
        "hidden",
        program="python-infra",
        args=["-c", "import os, sys; assert os.environ['GIVEN'] == 'a planted secret'; sys.exit('as expected')"],
        env={"GIVEN": pulumi.Output.secret("a planted secret")},
        ready=[LogLine("never")],
    )
    """
    )
    told = project.up(fails=True)
    secret_file = Path(project.outputs()["secret_files"]["key"])
    secret = secret_file.read_text()
    assert len(secret) >= 43 and secret_file.stat().st_mode & 0o777 == 0o600
    assert secret not in told and "a planted secret" not in told
    kept = [path for path in project.root.rglob("*") if path.is_file() and path not in (secret_file, program(project))]
    assert len(kept) > 10
    guilty = [path for path in kept if secret.encode() in path.read_bytes() or b"a planted secret" in path.read_bytes()]
    assert guilty == []


def program(project: Project) -> Path:
    """The program's own source, where the test planted a secret."""
    return project.folder / "__main__.py"
