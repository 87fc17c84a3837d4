"""A program that a step runs: its progress is heard, its failure explained, and nothing of it is left running."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest

from tests.deadline import until
from tools import process
from tools.failure import SetupFailed, Unreachable
from tools.progress import Step


def sh(script: str, **options: object) -> None:
    """Run a shell script as the step `engine`."""
    process.run(["sh", "-c", script], Step("engine", io.StringIO()), env=os.environ, **options)  # pyright: ignore[reportArgumentType]


def test_every_line_is_heard_whole_and_kept_in_the_log(cache: Path) -> None:
    heard: list[str] = []
    sh("printf 'one\\ntw'; printf 'o\\n' >&2; printf three", on_line=heard.append)
    assert heard == ["one", "two", "three"]
    assert (cache / "logs" / "engine.log").read_text().endswith("one\ntwo\nthree")


def test_a_failure_shows_the_last_words_and_where_the_rest_is(cache: Path) -> None:
    with pytest.raises(SetupFailed) as failure:
        sh("seq 1 100; echo undefined: foo; exit 3")
    told = str(failure.value)
    assert told.startswith(f"engine: sh failed with status 3; its last words, from {cache / 'logs' / 'engine.log'}:\n")
    assert told.endswith("    100\n    undefined: foo")
    assert "    90\n" not in told


@pytest.mark.parametrize(
    "words",
    [
        "error sending request: dns error: failed to lookup address information",
        "dial tcp: lookup proxy: no such host",
        "proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused",
        "NewConnectionError: Temporary failure in name resolution",
        "ERROR: Could not find a version that satisfies the requirement uv==1 (from versions: none)",
    ],
)
def test_no_network_is_told_in_one_sentence_with_what_to_look_at(words: str) -> None:
    with pytest.raises(
        Unreachable, match="could not reach its package index: check the network, or the proxy"
    ) as failure:
        sh(f"echo '{words}'; exit 1", online=True)
    assert "\n" not in str(failure.value)


def test_a_program_that_does_not_go_online_is_not_said_to_lack_a_network() -> None:
    with pytest.raises(SetupFailed, match="status 1") as failure:
        sh("echo 'broker: connection refused'; exit 1")
    assert not isinstance(failure.value, Unreachable)


def test_a_full_disk_is_told_in_one_sentence() -> None:
    with pytest.raises(SetupFailed, match="the disk is full: make room") as failure:
        sh("echo 'write /x: no space left on device'; exit 1")
    assert "\n" not in str(failure.value)


def test_the_log_holds_one_run_of_a_step_and_a_program_is_judged_by_its_own_words(cache: Path) -> None:
    sh("echo of the run before")
    step = Step("engine", io.StringIO())
    process.run(["sh", "-c", "echo no such host"], step, env=os.environ)
    with pytest.raises(SetupFailed, match="status 2"):
        process.run(["sh", "-c", "echo plain; exit 2"], step, env=os.environ)
    log = (cache / "logs" / "engine.log").read_text()
    assert log == "$ sh -c echo no such host\nno such host\n$ sh -c echo plain; exit 2\nplain\n"


def test_an_interrupt_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"

    def interrupt(pid: int) -> None:
        if grandchild.exists() and grandchild.read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        # A shell's background jobs ignore an interrupt: only the second, harder signal ends this one.
        sh(f"sleep 60 & echo $! > {grandchild}; wait", on_tick=interrupt)
    pid = int(grandchild.read_text())
    try:
        assert until(lambda: not _alive(pid), seconds=5, what="the grandchild to end")
    finally:
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_program_past_its_time_is_ended_and_said() -> None:
    with pytest.raises(SetupFailed, match=r"sh was not done after 0 s and was ended: see .*engine\.log"):
        sh("exec sleep 60", timeout_seconds=0.1)


def test_a_status_can_be_declared_good() -> None:
    sh("exit 143", good=(143,))
    with pytest.raises(SetupFailed):
        sh("exit 0", good=(143,))
