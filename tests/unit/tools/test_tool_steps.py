"""What is brought up to date, in which order, and how every end of it reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tool_samples import receipt

from tools import checkout, store
from tools import steps as under_test
from tools.failure import SetupFailed
from tools.progress import Step
from tools.steps import Part


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Part]:
    """Two parts that are up to date, in place of the real ones."""
    table = {
        "servers": Part("servers", "the servers", lambda: "three of them", lambda step: "new"),
        "kafka": Part("kafka", "Kafka", lambda: None, lambda step: "4.3.1", needs=("servers",)),
    }
    monkeypatch.setattr(under_test, "PARTS", table)
    return table


def test_what_a_part_relies_on_comes_before_it() -> None:
    assert under_test.in_order(["kafka"]) == ["servers", "kafka"]
    assert under_test.in_order(["kafka", "servers", "kafka"]) == ["servers", "kafka"]
    assert under_test.in_order(["all"]) == list(under_test.PARTS)
    assert set(under_test.in_order([])) == set(under_test.FOR_UP)


def test_an_up_to_date_part_is_one_line_and_an_installed_one_says_how_long_it_took(
    parts: dict[str, Part], capsys: pytest.CaptureFixture[str]
) -> None:
    assert under_test.main(["kafka"]) == 0
    assert capsys.readouterr().out == "  servers   three of them\n  kafka     4.3.1 (installed in 0 s)\n"


def test_quiet_says_nothing_of_what_is_up_to_date(parts: dict[str, Part], capsys: pytest.CaptureFixture[str]) -> None:
    assert under_test.main(["servers", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("failure", "status", "told"),
    [
        (SetupFailed("kafka: no network"), 1, "error: kafka: no network\n"),
        (OSError(28, "No space left on device", "/cache/x"), 1, "is full: make room there and run this again\n"),
        (KeyboardInterrupt(), 130, "run the same command again to go on\n"),
    ],
)
def test_every_bad_end_is_a_sentence_and_a_status(
    failure: BaseException, status: int, told: str, parts: dict[str, Part], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(step: Step) -> str:
        raise failure

    parts["kafka"] = Part("kafka", "Kafka", lambda: None, fail)
    assert under_test.main(["kafka"]) == status
    assert capsys.readouterr().err.endswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["zookeeper"], "no part is called 'zookeeper': expected infra, servers"),
        (["clean", "kafka"], "`clean` goes alone"),
        (["--data"], "`clean` goes alone"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_done(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        under_test.main(arguments)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_an_old_python_is_told_so_in_one_sentence() -> None:
    script = checkout() / "tools" / "bootstrap.py"
    code = f"import sys, runpy; sys.version_info = (3, 9, 6); runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Isthmus needs Python 3.11 or newer and this is 3.9: install one and run it with that, for example "
        "`python3.12 tools/bootstrap.py`\n"
    )


def test_cleaning_deletes_tools_and_environments_and_keeps_the_data_unless_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.folders.checkout", lambda: tmp_path / "checkout")
    (receipt(tmp_path / "checkout" / ".venv") / "big").write_bytes(b"x" * 3_000_000)
    (tmp_path / "checkout" / "README.md").touch()
    for name in ("tools/kafka-4.3.1", "logs", "home/data"):
        receipt(cache / name)
    assert under_test.main(["clean"]) == 0
    assert capsys.readouterr().out == f"  clean     3 MB freed; {cache / 'home'} is left as it was\n"
    assert sorted(path.name for path in cache.iterdir()) == ["home", "locks"]
    assert [path.name for path in (tmp_path / "checkout").iterdir()] == ["README.md"]
    assert under_test.main(["clean", "--data"]) == 0
    assert [path.name for path in cache.iterdir()] == ["locks"]
    assert not store.HELD
