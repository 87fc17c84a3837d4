"""A tool appears in the cache whole or not at all, one process at a time, whatever kills it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tool_samples import names

from tools import folders, store
from tools.failure import SetupFailed

CHECKOUT = folders.checkout()


def python(code: str, **options: object) -> subprocess.Popen[str]:
    """Another process of this checkout, with its words to be read."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
        **options,  # pyright: ignore[reportArgumentType, reportCallIssue]
    )


def test_a_folder_is_seen_only_when_it_is_whole(cache: Path) -> None:
    with store.appearing(cache / "weed-1") as making:
        (making / "weed").write_text("program")
        assert not (cache / "weed-1").exists()
    assert (cache / "weed-1" / "weed").read_text() == "program"
    assert names(cache) == ["weed-1"]


def test_a_failed_installation_leaves_nothing_and_the_old_one_in_place(cache: Path) -> None:
    with store.appearing(cache / "weed-1") as making:
        (making / "weed").write_text("old")
    with pytest.raises(ValueError, match="broken"), store.appearing(cache / "weed-1") as making:
        (making / "weed").write_text("new")
        raise ValueError("broken")
    assert (cache / "weed-1" / "weed").read_text() == "old"
    assert names(cache) == ["weed-1"]


def test_an_installation_that_was_killed_is_not_seen_and_the_next_one_begins_clean(cache: Path) -> None:
    killed = python(
        "import os, signal; from pathlib import Path; from tools import store\n"
        f"with store.appearing(Path({str(cache)!r}) / 'weed-1') as making:\n"
        "    (making / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert killed.wait(timeout=20) == -signal.SIGKILL
    assert names(cache) == [".weed-1.partial"]
    with store.appearing(cache / "weed-1") as making:
        assert names(making) == []
    assert names(cache) == ["weed-1"]


def test_an_installation_that_can_go_on_finds_what_the_interrupted_one_left(cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.appearing(cache / "kafka-1", resume=True) as making:
        (making / "first.jar").touch()
        raise KeyboardInterrupt
    with store.appearing(cache / "kafka-1", resume=True) as making:
        assert names(making) == ["first.jar"]


HOLD = "import sys; from tools import store\nwith store.exclusive('engine', 'which builds the engine', print):\n"


def test_a_second_process_waits_for_the_first_and_says_for_whom() -> None:
    first = python(HOLD + "    print('held', flush=True); sys.stdin.read()", stdin=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdin is not None
    assert first.stdout.readline() == "held\n"
    said: list[str] = []

    def hear(sentence: str) -> None:
        said.append(sentence)
        first.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]  it ends now that it was waited for

    with store.exclusive("engine", "which waited", hear):
        assert first.wait(timeout=20) == 0
    assert said == [f"waiting for process {first.pid}, which builds the engine (0 s)"]


def test_a_killed_holder_lets_go_but_not_before_the_program_it_started_has_ended() -> None:
    child = "import subprocess\n    subprocess.Popen(['sleep', '60'], pass_fds=tuple(store.HELD))"
    first = python(HOLD + f"    {child}\n    print('held', flush=True); sys.stdin.read()", stdin=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    sleeper = int(subprocess.check_output(["pgrep", "-P", str(first.pid)], text=True))
    first.kill()
    first.wait(timeout=20)
    waited: list[str] = []

    def hear(sentence: str) -> None:
        waited.append(sentence)
        os.kill(sleeper, signal.SIGKILL)

    with store.exclusive("engine", "which waited", hear):
        assert len(waited) == 1


def test_two_tools_can_be_installed_at_once() -> None:
    with store.exclusive("engine", "which builds", pytest.fail), store.exclusive("kafka", "which fetches", pytest.fail):
        assert len(store.HELD) == 2
    assert not store.HELD


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "is full: make room there"),
        (errno.EROFS, "Read-only file system.*set ISTHMUS_CACHE to a folder that can be written to"),
        (errno.EACCES, "Permission denied.*set ISTHMUS_CACHE"),
    ],
)
def test_a_disk_that_will_not_take_it_is_told_in_one_sentence(cache: Path, number: int, sentence: str) -> None:
    with pytest.raises(SetupFailed, match=sentence) as failure, store.writable(cache):
        raise OSError(number, os.strerror(number), str(cache / "weed"))
    assert "\n" not in str(failure.value)


def test_a_cache_that_is_a_file_is_told_in_one_sentence(cache: Path) -> None:
    cache.touch()
    with pytest.raises(SetupFailed, match="cannot be used"), store.exclusive("kafka", "which installs", print):
        pass


def test_a_document_that_could_be_written_only_in_part_leaves_the_old_one(cache: Path) -> None:
    store.write_json(cache / "receipt.json", {"version": "1"})
    failed = python(
        "import resource; from pathlib import Path; from tools import store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        f"store.write_json(Path({str(cache)!r}) / 'receipt.json', {{'version': '2' * 1000}})",
        stderr=subprocess.PIPE,
    )
    assert "File too large" in failed.communicate(timeout=20)[1]
    assert store.read_json(cache / "receipt.json") == {"version": "1"}
    assert names(cache) == ["receipt.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "\udcff"])
def test_a_damaged_receipt_counts_as_none(cache: Path, content: str) -> None:
    cache.mkdir()
    (cache / "receipt.json").write_bytes(content.encode(errors="surrogateescape"))
    assert store.read_json(cache / "receipt.json") is None


def test_deleting_counts_only_what_the_disk_gets_back(cache: Path) -> None:
    (cache / "venv").mkdir(parents=True)
    (cache / "venv" / "own").write_bytes(b"x" * 1000)
    (cache / "shared").write_bytes(b"x" * 5000)
    os.link(cache / "shared", cache / "venv" / "linked")
    assert store.remove(cache / "venv") == 1000
    assert names(cache) == ["shared"]


def test_what_a_killed_deletion_left_is_swept(cache: Path) -> None:
    (cache / ".venv-123.doomed" / "lib").mkdir(parents=True)
    store.sweep(cache, ".venv")
    assert names(cache) == []
