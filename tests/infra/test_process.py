"""`isthmus:local:Process` under the real engine: up, seen, changed, restarted, gone."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from pathlib import Path

import psutil
import pytest

from infra.providers.local import identity
from infra.providers.local.ports import HIGHEST
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
    """The shared project with a counter that greets with hello; brought up again only where a test has changed it."""
    if shared.program != counter() or not shared.processes():
        shared.write(counter())
        shared.up()
    return shared


def test_up_waits_until_it_answers_and_it_survives_the_engine(up: Project) -> None:
    starts, greeting = answer(up).split()
    assert int(starts) >= 1 and greeting == "hello"
    assert up.outputs()["ports"]["http"] <= HIGHEST
    assert os.getsid(up.outputs()["pid"]) == up.outputs()["pid"]


def test_it_inherits_nothing_of_the_engines_passphrase_and_settings(up: Project) -> None:
    environment = psutil.Process(up.outputs()["pid"]).environ()
    assert "PATH" in environment
    assert [name for name in environment if name.startswith(("PULUMI", "AWS", "ISTHMUS_HOME"))] == []


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


def test_another_program_replaces_it_and_the_old_one_ends_first(shared: Project) -> None:
    shared.write(counter())
    shared.up()
    before = shared.outputs()
    shared.write(counter(revision="2").replace('"python-infra"', '"python-runtime"'))
    told = shared.up()
    assert told.index("counter deleted original") < told.index("counter created replacement")
    assert not identity.birth(before["pid"])
    assert shared.outputs()["ports"] == before["ports"]
    assert len(shared.processes()) == 1


def test_destroy_ends_even_a_stubborn_one_with_its_workers_and_keeps_the_data(project: Project) -> None:
    project.write(counter("--worker", "--stubborn").replace("**MORE", "stop=Stop('TERM', grace_seconds=0.3)"))
    project.up()
    assert len(project.processes()) == 2
    data = Path(project.outputs()["data"])
    project.destroy()
    assert project.processes() == [] and project.records() == []
    assert (data / "starts").read_text() == "1"


def test_one_that_dies_fails_at_once_and_one_that_never_gets_ready_in_time_with_their_reasons(project: Project) -> None:
    project.write("""
        def counter(name, flag, **more):
            Process(name, program="python-infra", args=[COUNTER, "{port.http}", "{data}", flag], ports=["http"],
                    ready=[Http("http")], **more)

        counter("dying", "--die", secrets=["key"], env={"COUNTER_SECRET": "{secret.key}"})
        counter("hanging", "--hang", ready_timeout_seconds=0.5)
    """)
    told = project.up("--continue-on-error", fails=True)
    assert "dying: ended with exit code 3 before it was ready; its log" in told
    assert "my secret is [secret]" in told
    assert re.search(r"hanging: gave up after 0.5 s: not ready: status 200 from http://127.0.0.1:\d+/", told)
    assert project.processes() == [] and project.records() == [] and "dying" not in project.state()


def test_wrong_inputs_are_refused_before_anything_starts_each_with_its_name(project: Project) -> None:
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
        opts=pulumi.ResourceOptions(depends_on=[counter]),
    )
    """
    )
    told = project.up(fails=True)
    secret_file = Path(project.state()["counter"]["outputs"]["secret_files"]["key"])
    secret = secret_file.read_text()
    assert len(secret) >= 43 and secret_file.stat().st_mode & 0o777 == 0o600
    assert secret not in told and "a planted secret" not in told
    # The program's own folder holds the source in which the test planted its secret.
    kept = [path for path in project.root.rglob("*") if path.is_file() and not path.is_relative_to(project.folder)]
    assert len(kept) > 10
    guilty = [path for path in kept if secret.encode() in path.read_bytes() or b"a planted secret" in path.read_bytes()]
    assert guilty == [secret_file]
