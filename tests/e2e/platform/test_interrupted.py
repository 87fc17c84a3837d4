"""Ctrl-C, kill -9, two at once, and wrong words: what was started is known, and the next command goes on from there."""

from __future__ import annotations

import signal
import subprocess

import psutil
import pytest

from tests.deadline import until
from tests.e2e.platform.conftest import ROOT, Home

pytestmark = pytest.mark.timeout(1500)  # a whole platform comes up several times


def start(home: Home, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        home.command(*arguments),
        cwd=ROOT,
        env=home.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background has them ignore Ctrl-C, and that is passed on to children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def records(home: Home) -> list[str]:
    return [path.parent.name for path in (home.folder / "run").glob("isthmus/local/*/record.json")]


def engine_of(process: subprocess.Popen[str]) -> psutil.Process | None:
    children = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "pulumi"]
    return children[0] if children else None


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_ends_soon_and_down_removes_what_it_started(home: Home, sent: signal.Signals) -> None:
    running = start(home, "up")
    until(lambda: records(home), seconds=240, what="the first process to be recorded")
    running.send_signal(sent)
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 130, said
    assert "make up` goes on from here" in said
    home.run("down")
    assert home.processes() == []


def test_after_kill_minus_9_of_everything_up_converges_and_down_leaves_nothing(home: Home) -> None:
    running = start(home, "up")
    until(lambda: records(home), seconds=240, what="the first process to be recorded")
    engine = until(lambda: engine_of(running), what="the engine")
    for process in [psutil.Process(running.pid), engine, *engine.children(recursive=True)]:
        if process.is_running():
            process.kill()
    running.communicate(timeout=120)
    report = home.json("up")
    assert report["requests"]["errors"] == 0
    names = [one["name"] for one in home.json("status")["processes"]]
    assert sorted(names) == sorted(set(names))
    kafkas = [process for process in home.processes() if "kafka.Kafka" in process.cmdline()]
    assert len(kafkas) == 1
    home.run("down")
    assert home.processes() == []


def test_of_two_ups_at_once_the_second_says_for_whom_it_waits(home: Home) -> None:
    first = start(home, "up")
    until(
        lambda: (home.folder / "lock").is_file() and "isthmus up" in (home.folder / "lock").read_text(), what="the lock"
    )
    second = start(home, "up")
    told, _ = second.communicate(timeout=600)
    first.communicate(timeout=600)
    assert (first.returncode, second.returncode) == (0, 0), told
    assert f"waiting for `isthmus up local` (process {first.pid})" in told


@pytest.mark.parametrize(
    ("cloud", "said"),
    [
        ("mars", "unknown cloud 'mars'; the clouds known here are aws, gcp, local"),
        ("memory", "stack 'local' is 'local' or one of"),
    ],
)
def test_a_cloud_that_cannot_be_is_refused_before_anything_is_started(home: Home, cloud: str, said: str) -> None:
    done = home.run("up", cloud=cloud, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (home.folder / "run").exists()


def test_an_unknown_stack_lists_the_known_ones(home: Home) -> None:
    assert "no stack 'prod-mars'" in (said := home.run("up", "--stack", "prod-mars", code=2).stderr)
    assert "there is local" in said


def test_a_command_that_needs_the_platform_says_how_to_get_it(home: Home) -> None:
    assert "run `make up`" in home.run("models", "list", code=1).stderr
    assert "run `make up`" in home.run("logs", "serve", code=2).stderr


def test_down_of_what_never_was_says_so(home: Home) -> None:
    assert "0 resources removed, nothing runs" in home.run("down").stdout
