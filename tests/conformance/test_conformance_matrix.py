"""The plugin that prints the matrix: what it counts, and that a known difference is held to what is said of it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import pytest

class BoxSuite:
    def test_a_box_opens(self, box): assert box != "stuck"
    @pytest.mark.parametrize("side", [1, 2])
    def test_a_box_closes(self, box, side): assert box != "odd" or side == 1

BoxSuite.__module__ = "adapters.conformance.box"

class TestGood(BoxSuite):
    box = pytest.fixture(lambda self: "good")

class TestOdd(BoxSuite):
    server_name = "odd server"
    box = pytest.fixture(lambda self: "odd")

class TestStuck(BoxSuite):
    box = pytest.fixture(lambda self: "stuck")

def test_of_no_port(): pass
"""

DIFFERENCE = """
from adapters.conformance import differences

def shown(box):
    assert box == {box!r}

differences.DIFFERENCES = (differences.Difference("odd server", {promise!r}, "stays open", "it is odd", shown),)
"""


def run(pytester: pytest.Pytester, promise: str, box: str = "odd") -> pytest.RunResult:
    pytester.makeconftest(DIFFERENCE.format(promise=promise, box=box))
    pytester.makepyfile(SUITE)
    return pytester.runpytest_subprocess("-p", "tests.conformance.matrix", "-p", "no:cacheprovider")


def test_the_matrix_has_a_row_a_promise_and_a_column_a_driver(pytester: pytest.Pytester) -> None:
    result = run(pytester, "test_a_box_closes[2]")
    result.assert_outcomes(passed=9, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Box: 2 promises*",
            "*Good*Odd*Stuck*",
            "a box opens*ok*ok*FAILED*",
            "a box closes*ok*differs*ok*",
            "4 kept, 1 differ*, 1 FAILED*",
        ]
    )


def test_a_difference_that_is_gone_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, "test_a_box_opens")
    result.stdout.fnmatch_lines(["*odd server keeps this promise now: take it out of*"])
    result.stdout.fnmatch_lines(["a box opens*ok*FAILED*FAILED*"])


def test_a_difference_that_is_another_than_told_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, "test_a_box_closes[2]", box="another")
    result.stdout.fnmatch_lines(["a box closes*ok*FAILED*ok*"])
