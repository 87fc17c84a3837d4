"""Promises of reading: whole, in ranges, in streams, many at once."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import ObjectStorage

BODY = bytes(range(256)) * 4
LONG_BODY = bytes(range(251)) * 33_000  # 8.3 MB, more than the sockets between can hold
CHUNK_BYTES = 1 << 20


class ReadingPromises:
    """Of `get`, `get_range`, `stream`, `head` and `get_many`."""

    def test_a_read_after_an_acknowledged_write_sees_it(self, storage: ObjectStorage, place: str) -> None:
        for number in range(5):
            body = b"%d" % number
            version = storage.put(f"{place}k", body)
            stored = storage.get(f"{place}k")
            assert (stored.body, stored.info.version) == (body, version)

    @pytest.mark.parametrize("size", [0, 1, 65_537])
    def test_a_body_of_any_size_comes_back_as_it_was(self, storage: ObjectStorage, place: str, size: int) -> None:
        body = (BODY * (size // len(BODY) + 1))[:size]
        storage.put(f"{place}k", body)
        stored = storage.get(f"{place}k")
        assert stored.body == body
        assert stored.info.size_bytes == storage.head(f"{place}k").size_bytes == size

    def test_a_body_is_bytes(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", BODY)
        assert type(storage.get(f"{place}k").body) is bytes
        assert type(storage.get_range(f"{place}k", 1, 2)) is bytes
        assert {type(chunk) for chunk in storage.stream(f"{place}k")} == {bytes}

    def test_an_absent_object_is_not_found_however_it_is_read(self, storage: ObjectStorage, place: str) -> None:
        key = f"{place}absent"
        for read in (
            lambda: storage.get(key),
            lambda: storage.get_range(key, 0, 1),
            lambda: storage.get_range(key, 0, 0),
            lambda: storage.head(key),
            lambda: next(iter(storage.stream(key))),
            lambda: next(storage.get_many([key])),
        ):
            with pytest.raises(NotFound) as caught:
                read()
            assert isinstance(caught.value, FileNotFoundError)
            assert caught.value.name.endswith(key)

    @pytest.mark.parametrize(
        ("start", "length"),
        [(0, 1), (0, 1024), (1, 3), (1023, 1), (1000, 24), (1000, 25), (1000, 9999), (0, 99_999), (5, 0)],
    )
    def test_a_range_is_what_lies_in_it(self, storage: ObjectStorage, place: str, start: int, length: int) -> None:
        storage.put(f"{place}k", BODY)
        assert storage.get_range(f"{place}k", start, length) == BODY[start : start + length]

    @pytest.mark.parametrize("start", [1024, 1025, 10**12])
    def test_a_range_that_starts_at_the_end_or_beyond_is_empty(
        self, storage: ObjectStorage, place: str, start: int
    ) -> None:
        storage.put(f"{place}k", BODY)
        assert storage.get_range(f"{place}k", start, 10) == b""

    def test_any_range_of_an_empty_object_is_empty(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"")
        assert storage.get_range(f"{place}k", 0, 1) == storage.get_range(f"{place}k", 7, 1) == b""

    @pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (-5, -5)])
    def test_a_negative_range_is_invalid(self, storage: ObjectStorage, place: str, start: int, length: int) -> None:
        storage.put(f"{place}k", BODY)
        with pytest.raises(Invalid):
            storage.get_range(f"{place}k", start, length)

    @pytest.mark.parametrize("chunk_bytes", [1, 100, 1024, 1 << 20])
    def test_a_stream_is_the_body_in_chunks(self, storage: ObjectStorage, place: str, chunk_bytes: int) -> None:
        body = BODY[:300] if chunk_bytes == 1 else BODY
        storage.put(f"{place}k", body)
        if chunk_bytes == 1:
            chunks = [*itertools.islice(storage.stream(f"{place}k", chunk_bytes=1), 20)]
            body = body[:20]
        else:
            chunks = [*storage.stream(f"{place}k", chunk_bytes=chunk_bytes)]
        assert b"".join(chunks) == body
        assert 0 < max(map(len, chunks)) <= chunk_bytes

    def test_the_stream_of_an_empty_object_has_no_chunks(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"")
        assert [*storage.stream(f"{place}k")] == []

    def test_a_stream_in_chunks_of_nothing_is_invalid(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", BODY)
        with pytest.raises(Invalid):
            next(storage.stream(f"{place}k", chunk_bytes=0))

    def test_a_stream_never_mixes_two_versions(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", LONG_BODY)
        chunks = storage.stream(f"{place}k", chunk_bytes=65_536)
        body = next(chunks)
        storage.put(f"{place}k", LONG_BODY[::-1])
        try:
            body += b"".join(chunks)
        except Conflict:
            return
        assert body == LONG_BODY, "the server went on with the old version, so it must be all of it"

    def test_a_stream_of_an_object_that_is_deleted_ends_whole_or_in_conflict(
        self, storage: ObjectStorage, place: str
    ) -> None:
        storage.put(f"{place}k", LONG_BODY)
        chunks = storage.stream(f"{place}k", chunk_bytes=65_536)
        body = next(chunks)
        storage.delete(f"{place}k")
        try:
            body += b"".join(chunks)
        except Conflict:
            return
        assert body == LONG_BODY

    def test_a_stream_that_is_left_early_harms_no_later_call(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", LONG_BODY)
        for _ in range(3):
            assert next(storage.stream(f"{place}k", chunk_bytes=1000)) == LONG_BODY[:1000]
        assert storage.get_range(f"{place}k", 0, 10) == LONG_BODY[:10]

    def test_a_stream_holds_one_chunk_in_memory(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", LONG_BODY)
        received = 0
        tracemalloc.start()
        try:
            chunks = storage.stream(f"{place}k", chunk_bytes=CHUNK_BYTES)
            received += len(next(chunks))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for chunk in chunks:
                received += len(chunk)
                del chunk
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        assert received == len(LONG_BODY)
        # One chunk, and what the library beneath needs to put it together once.
        assert peak < 3.5 * CHUNK_BYTES, f"{peak / CHUNK_BYTES:.1f} chunks were held"

    def test_a_head_tells_what_a_get_tells(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", BODY, content_type="text/plain", metadata={"step": "7"})
        told, head = storage.get(f"{place}k").info, storage.head(f"{place}k")
        assert (told.key, told.size_bytes, told.version) == (head.key, head.size_bytes, head.version)
        assert (told.content_type, dict(told.metadata)) == (head.content_type, dict(head.metadata))
        assert told.key == f"{place}k"
        assert abs((told.modified - head.modified).total_seconds()) < 1.5

    def test_many_come_in_the_order_asked(self, storage: ObjectStorage, place: str) -> None:
        items = {f"{place}{number}": b"%d" % number for number in range(70)}
        for key, body in items.items():
            storage.put(key, body)
        asked = [*reversed(items), f"{place}3", f"{place}3"]
        stored = [*storage.get_many(asked)]
        assert [one.info.key for one in stored] == asked
        assert [one.body for one in stored] == [items[key] for key in asked]
        assert stored[0].info.version == storage.head(asked[0]).version

    def test_of_many_a_missing_one_is_not_found_after_those_before_it(self, storage: ObjectStorage, place: str) -> None:
        for name in "ac":
            storage.put(f"{place}{name}", b"")
        answers = storage.get_many([f"{place}a", f"{place}b", f"{place}c"])
        assert next(answers).info.key == f"{place}a"
        with pytest.raises(NotFound) as caught:
            next(answers)
        assert caught.value.name.endswith(f"{place}b")

    def test_many_are_drawn_a_bounded_number_ahead(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", BODY)
        drawn = 0

        def endless() -> Iterator[str]:
            nonlocal drawn
            while True:
                drawn += 1
                yield f"{place}k"

        answers = storage.get_many(endless())
        for _ in range(5):
            assert next(answers).body == BODY
        assert drawn <= 5 + 64

    def test_none_of_many_is_nothing(self, storage: ObjectStorage) -> None:
        assert [*storage.get_many([])] == []
        assert storage.put_many([]) == []
