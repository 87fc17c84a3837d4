"""Promises of listing: order, pages, folders, cursors that hold while others write."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.errors import Invalid
from adapters.ports import ObjectStorage, Page, StorageClass

NAMES = ("a", "a/1", "a/2", "a-b", "b/x/1", "b/x/2", "b/y", "c", "zz")


def filled(storage: ObjectStorage, place: str, names: tuple[str, ...] = NAMES) -> None:
    """An empty object under each name."""
    for name in names:
        storage.put(place + name, b"")


def pages(storage: ObjectStorage, prefix: str, *, delimiter: str = "", limit: int = 1000) -> Iterator[Page]:
    """All pages of a listing."""
    cursor = None
    while True:
        page = storage.list(prefix, delimiter=delimiter, cursor=cursor, limit=limit)
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def keys(page: Page, place: str) -> list[str]:
    """The names on a page."""
    return [info.key.removeprefix(place) for info in page.objects]


class ListingPromises:
    """Of `list`."""

    def test_a_listing_is_in_the_keys_order(self, storage: ObjectStorage, place: str) -> None:
        filled(storage, place)
        page = storage.list(place)
        assert keys(page, place) == sorted(NAMES)
        assert (page.folders, page.cursor) == ((), None)

    def test_the_order_is_that_of_utf_8(self, storage: ObjectStorage, place: str) -> None:
        names = ("Z", "a", "é", "日", "\uff5e", "\U0001f600")  # the last two are the other way round in UTF-16
        filled(storage, place, tuple(reversed(names)))
        assert keys(storage.list(place), place) == [*names]

    def test_a_listing_has_what_begins_with_the_prefix(self, storage: ObjectStorage, place: str) -> None:
        filled(storage, place)
        assert sorted(keys(storage.list(f"{place}a"), place)) == ["a", "a-b", "a/1", "a/2"]
        assert keys(storage.list(f"{place}b/x/"), place) == ["b/x/1", "b/x/2"]
        assert keys(storage.list(f"{place}c"), place) == ["c"]

    def test_a_listing_of_nothing_is_one_empty_page(self, storage: ObjectStorage, place: str) -> None:
        assert storage.list(f"{place}none/") == Page((), (), None)

    def test_a_listing_tells_size_version_time_and_class(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"12345", content_type="text/plain", metadata={"a": "1"})
        (info,) = storage.list(place).objects
        assert (info.key, info.size_bytes, info.version) == (f"{place}k", 5, version)
        assert info.storage_class is StorageClass.HOT
        assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)

    @pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 10])
    def test_pages_hold_every_key_once(self, storage: ObjectStorage, place: str, limit: int) -> None:
        filled(storage, place)
        all_pages = [*pages(storage, place, limit=limit)]
        assert sorted(key for page in all_pages for key in keys(page, place)) == sorted(NAMES)
        assert all(len(page.objects) <= limit for page in all_pages)
        assert all(page.cursor for page in all_pages[:-1])
        assert not any(page.folders for page in all_pages)

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    def test_another_limit_is_invalid(self, storage: ObjectStorage, limit: int) -> None:
        with pytest.raises(Invalid):
            storage.list(limit=limit)

    def test_a_delimiter_folds_keys_into_folders(self, storage: ObjectStorage, place: str) -> None:
        filled(storage, place)
        page = storage.list(place, delimiter="/")
        assert keys(page, place) == ["a", "a-b", "c", "zz"]
        assert page.folders == (f"{place}a/", f"{place}b/")
        page = storage.list(f"{place}b/", delimiter="/")
        assert (keys(page, place), page.folders) == (["b/y"], (f"{place}b/x/",))

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_each_folder_is_on_one_page(self, storage: ObjectStorage, place: str, limit: int) -> None:
        filled(storage, place)
        all_pages = [*pages(storage, place, delimiter="/", limit=limit)]
        assert [key for page in all_pages for key in keys(page, place)] == ["a", "a-b", "c", "zz"]
        assert [folder for page in all_pages for folder in page.folders] == [f"{place}a/", f"{place}b/"]
        assert all(len(page.objects) + len(page.folders) <= limit for page in all_pages)

    def test_a_delimiter_need_not_be_a_slash(self, storage: ObjectStorage, place: str) -> None:
        filled(storage, place, ("x-1", "x-2", "y"))
        page = storage.list(place, delimiter="-")
        assert (keys(page, place), page.folders) == (["y"], (f"{place}x-",))

    def test_a_cursor_holds_while_others_write_and_delete(self, storage: ObjectStorage, place: str) -> None:
        filled(storage, place, ("b", "d", "f", "h"))
        first = storage.list(place, limit=2)
        assert keys(first, place) == ["b", "d"]
        filled(storage, place, ("a", "e"))
        storage.delete(f"{place}d")
        rest = keys(storage.list(place, cursor=first.cursor), place)
        assert [name for name in rest if name != "e"] == ["f", "h"], "what is there throughout is listed once"

    def test_a_listing_after_a_write_has_it_and_after_a_deletion_has_it_not(
        self, storage: ObjectStorage, place: str
    ) -> None:
        for number in range(4):
            storage.put(f"{place}{number}", b"")
            assert len(storage.list(place).objects) == number + 1
        for number in range(4):
            storage.delete(f"{place}{number}")
            assert len(storage.list(place).objects) == 3 - number


class FullPagePromises:
    """Of pages as long as they get, apart because emulators take seconds to fill one."""

    def test_a_page_has_a_thousand_keys_at_most(self, storage: ObjectStorage, place: str) -> None:
        wanted = [f"{place}{number:04}" for number in range(1003)]
        storage.put_many((key, b"") for key in wanted)
        all_pages = [*pages(storage, place)]
        assert [len(page.objects) for page in all_pages] == [1000, 3]
        assert [info.key for page in all_pages for info in page.objects] == wanted
