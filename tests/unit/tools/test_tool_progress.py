"""What a person sees while a step goes on."""

from __future__ import annotations

import io

import pytest

from tools import progress
from tools.progress import Step


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be moved by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_a_plain_line_every_four_seconds(clock: list[float]) -> None:
    out = io.StringIO()
    step = Step("engine", out)
    for second in range(1, 13):
        clock[0] = 100.0 + second
        step.doing(f"compiled {second} packages", second / 100)
    assert out.getvalue() == (
        "  engine    compiled 4 packages (4%), 4 s\n"
        "  engine    compiled 8 packages (8%), 8 s\n"
        "  engine    compiled 12 packages (12%), 12 s\n"
    )


def test_a_terminal_gets_one_line_that_is_redrawn_and_fits(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    step = Step("engine", out)
    clock[0] += 61
    step.doing("compiled 800 packages with a description that is too long", 0.5)
    step.say("3.259.0 (installed in 1 min 1 s)")
    drawn, said = out.getvalue().split("\r\x1b[K")[1:]
    assert drawn.startswith("  engine    ████████████░░░░░░░░░░░░ compiled")
    assert len(drawn) < 60
    assert said == "  engine    3.259.0 (installed in 1 min 1 s)\n"


def test_a_terminal_is_not_redrawn_more_than_ten_times_a_second(clock: list[float]) -> None:
    out = Terminal()
    step = Step("engine", out)
    for _ in range(1000):
        clock[0] += 0.001
        step.doing("working")
    assert 9 <= out.getvalue().count("\r") <= 11


def test_a_dumb_terminal_is_treated_as_a_pipe(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    step = Step("engine", out)
    clock[0] += 5
    step.doing("working")
    assert out.getvalue() == "  engine    working, 5 s\n"


@pytest.mark.parametrize(("size_bytes", "text"), [(0, "0 MB"), (44_900_000, "45 MB"), (5_700_000_000, "5.7 GB")])
def test_sizes_are_in_units_people_read(size_bytes: int, text: str) -> None:
    assert progress.megabytes(size_bytes) == text
