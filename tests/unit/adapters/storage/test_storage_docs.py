"""The page about storage says what the tests assert."""

from __future__ import annotations

from pathlib import Path

from adapters.conformance import differences
from adapters.conformance.object_storage import ObjectStorageSuite
from adapters.conformance.object_storage_listing import FullPagePromises
from adapters.conformance.object_storage_server import DeniedPromises, PresignPromises, ServerPromises, SweepPromises

PAGE = Path(__file__).resolve().parents[4] / "docs" / "storage.md"
BEGIN = "<!-- differences: printed by adapters/conformance/differences.py -->\n"
END = "\n<!-- end of differences -->"
SUITES = (ObjectStorageSuite, FullPagePromises, ServerPromises, DeniedPromises, PresignPromises, SweepPromises)


def test_the_page_has_the_table_of_differences() -> None:
    told = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert told == differences.table(), f"put this between the marks of {PAGE.name}:\n{differences.table()}"


def test_every_difference_is_of_a_promise_that_there_is() -> None:
    promises = {name for suite in SUITES for name in dir(suite) if name.startswith("test_")}
    assert {one.promise.partition("[")[0] for one in differences.DIFFERENCES} <= promises


def test_a_promise_differs_in_one_way_on_one_server() -> None:
    places = [(one.server, one.promise) for one in differences.DIFFERENCES]
    assert len(places) == len(set(places))
