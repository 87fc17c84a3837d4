"""Promises of writing: all or nothing, in one piece, in streams, many at once; deleting and copying."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import ABSENT, Body, ObjectStorage, Version

MEBIBYTE = 1 << 20
LONG = 9
"""Blocks of a mebibyte that no driver sends in one piece."""
THREADS = 8


class Broken(Exception):
    """Raised in the middle of a body by the caller."""


def blocks(count: int, size: int = MEBIBYTE) -> Iterator[bytes]:
    """`count` blocks, each of another byte."""
    for number in range(count):
        yield bytes([number % 256]) * size


class WritingPromises:
    """Of `put`, `put_stream`, `put_many`, `delete` and `copy`."""

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_a_body_is_any_buffer_of_bytes(self, storage: ObjectStorage, place: str, kind: type) -> None:
        storage.put(f"{place}k", kind(b"hello"))
        storage.put_stream(f"{place}s", [kind(b"hel"), kind(b"lo")])
        assert storage.get(f"{place}k").body == storage.get(f"{place}s").body == b"hello"

    def test_a_view_of_a_part_is_stored_as_that_part(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", memoryview(b"0123456789")[2:5])
        assert storage.get(f"{place}k").body == b"234"

    @pytest.mark.parametrize("body", ["text", 7, None, [b"a"]])
    def test_a_body_of_another_type_is_invalid(self, storage: ObjectStorage, place: str, body: Body) -> None:
        with pytest.raises(Invalid):
            storage.put(f"{place}k", body)
        with pytest.raises(NotFound):
            storage.head(f"{place}k")

    def test_a_buffer_may_be_used_again_after_the_write(self, storage: ObjectStorage, place: str) -> None:
        buffer = bytearray(b"first")
        storage.put(f"{place}k", buffer)
        buffer[:] = b"later"
        assert storage.get(f"{place}k").body == b"first"

    def test_writes_of_all_sizes_follow_each_other(self, storage: ObjectStorage, place: str) -> None:
        for size in (3 * MEBIBYTE, 0, MEBIBYTE, 1, 2 * MEBIBYTE, 65_536, 0):
            storage.put(f"{place}k", bytes(size))
            assert storage.head(f"{place}k").size_bytes == size
            with pytest.raises(Conflict):
                storage.put(f"{place}k", bytes(size), if_version=ABSENT)

    def test_an_overwrite_replaces_body_and_metadata(self, storage: ObjectStorage, place: str) -> None:
        first = storage.put(f"{place}k", b"long first body", content_type="text/plain", metadata={"a": "1"})
        second = storage.put(f"{place}k", b"2nd")
        stored = storage.get(f"{place}k")
        assert (stored.body, stored.info.version, dict(stored.info.metadata)) == (b"2nd", second, {})
        assert first != second

    def test_rewriting_the_same_body_gives_another_version(self, storage: ObjectStorage, place: str) -> None:
        assert storage.put(f"{place}k", b"same") != storage.put(f"{place}k", b"same")

    def test_readers_see_the_old_object_or_the_new_one_never_a_part(self, storage: ObjectStorage, place: str) -> None:
        bodies = [bytes([number]) * (200_000 + 100_000 * number) for number in range(4)]
        storage.put(f"{place}k", bodies[0])
        written = threading.Event()

        def write() -> None:
            try:
                for number in range(1, 13):
                    storage.put(f"{place}k", bodies[number % 4])
            finally:
                written.set()

        def read() -> int:
            seen = 0
            while not written.is_set() or not seen:
                assert storage.get(f"{place}k").body in bodies
                seen += 1
            return seen

        with ThreadPoolExecutor(3) as pool:
            writer, readers = pool.submit(write), [pool.submit(read) for _ in range(2)]
            writer.result()
            assert all(reader.result() for reader in readers)

    @pytest.mark.parametrize("count", [0, 1, 7])
    def test_a_streamed_body_is_its_chunks(self, storage: ObjectStorage, place: str, count: int) -> None:
        version = storage.put_stream(f"{place}k", blocks(count, 1000), content_type="text/plain", metadata={"a": "1"})
        stored = storage.get(f"{place}k")
        assert stored.body == b"".join(blocks(count, 1000))
        assert (stored.info.version, stored.info.content_type) == (version, "text/plain")
        assert dict(stored.info.metadata) == {"a": "1"}

    def test_a_long_streamed_body_is_its_chunks(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put_stream(f"{place}k", blocks(LONG), content_type="text/plain", metadata={"a": "1"})
        info = storage.head(f"{place}k")
        assert (info.version, info.size_bytes, info.content_type) == (version, LONG * MEBIBYTE, "text/plain")
        assert dict(info.metadata) == {"a": "1"}
        assert all(
            one == two for one, two in zip(storage.stream(f"{place}k", chunk_bytes=MEBIBYTE), blocks(LONG), strict=True)
        )

    @pytest.mark.parametrize("before", [0, 1, LONG])
    def test_a_streamed_body_that_breaks_off_leaves_nothing(
        self, storage: ObjectStorage, place: str, before: int
    ) -> None:
        def breaking() -> Iterator[bytes]:
            yield from blocks(before)
            raise Broken

        with pytest.raises(Broken):
            storage.put_stream(f"{place}k", breaking())
        with pytest.raises(NotFound):
            storage.head(f"{place}k")
        assert storage.list(place).objects == ()

    def test_a_streamed_body_that_breaks_off_leaves_the_old_object(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"old")

        def breaking() -> Iterator[bytes]:
            yield from blocks(LONG)
            raise Broken

        with pytest.raises(Broken):
            storage.put_stream(f"{place}k", breaking())
        stored = storage.get(f"{place}k")
        assert (stored.body, stored.info.version) == (b"old", version)

    def test_a_streamed_body_is_not_visible_before_it_is_complete(self, storage: ObjectStorage, place: str) -> None:
        seen: list[int] = []

        def looking() -> Iterator[bytes]:
            for block in blocks(LONG):
                yield block
                if block[0] == LONG - 1:
                    seen.append(len(storage.list(place).objects))

        storage.put_stream(f"{place}k", looking())
        assert seen == [0]
        assert len(storage.list(place).objects) == 1

    @pytest.mark.parametrize("count", [1, LONG], ids=["short", "long"])
    def test_a_streamed_body_is_stored_on_its_condition_alone(
        self, storage: ObjectStorage, place: str, count: int
    ) -> None:
        first = storage.put_stream(f"{place}k", blocks(count), if_version=ABSENT)
        with pytest.raises(Conflict):
            storage.put_stream(f"{place}k", blocks(count), if_version=ABSENT)
        second = storage.put_stream(f"{place}k", blocks(count, MEBIBYTE + 1), if_version=first)
        with pytest.raises(Conflict):
            storage.put_stream(f"{place}k", blocks(count), if_version=first)
        assert storage.head(f"{place}k").version == second

    @pytest.mark.parametrize("chunks", [[b"a", "b"], "text", [1, 2]])
    def test_a_streamed_body_of_another_type_is_invalid(
        self, storage: ObjectStorage, place: str, chunks: list[bytes]
    ) -> None:
        with pytest.raises(Invalid):
            storage.put_stream(f"{place}k", chunks)
        with pytest.raises(NotFound):
            storage.head(f"{place}k")

    def test_many_are_stored_with_their_versions_in_order(self, storage: ObjectStorage, place: str) -> None:
        items = [(f"{place}{number}", b"%d" % number) for number in range(70)]
        versions = storage.put_many(iter(items))
        assert [storage.get(key).body for key, _ in items[::23]] == [body for _, body in items[::23]]
        assert [storage.head(key).version for key, _ in items[::23]] == versions[::23]
        assert len(versions) == len(items)

    def test_of_many_one_that_cannot_be_stored_is_told(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(Invalid):
            storage.put_many([(f"{place}a", b"1"), ("", b"2")])

    def test_what_is_deleted_is_gone(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"1")
        storage.delete(f"{place}k")
        with pytest.raises(NotFound):
            storage.get(f"{place}k")
        assert storage.list(place).objects == ()

    def test_deleting_what_is_not_there_is_no_error(self, storage: ObjectStorage, place: str) -> None:
        storage.delete(f"{place}never")
        storage.put(f"{place}k", b"1")
        storage.delete(f"{place}k")
        storage.delete(f"{place}k")

    def test_a_deletion_spares_what_begins_alike(self, storage: ObjectStorage, place: str) -> None:
        for name in ("a", "a/b", "a/c/d", "ab"):
            storage.put(f"{place}{name}", name.encode())
        storage.delete(f"{place}a")
        assert [info.key for info in storage.list(place).objects] == [f"{place}{n}" for n in ("a/b", "a/c/d", "ab")]
        assert storage.get(f"{place}a/b").body == b"a/b"

    def test_a_copy_has_body_content_type_and_metadata(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}a", b"body", content_type="text/plain", metadata={"a": "1"})
        version = storage.copy(f"{place}a", f"{place}b")
        stored = storage.get(f"{place}b")
        assert (stored.body, stored.info.version, stored.info.key) == (b"body", version, f"{place}b")
        assert (stored.info.content_type, dict(stored.info.metadata)) == ("text/plain", {"a": "1"})
        storage.put(f"{place}a", b"other")
        assert storage.get(f"{place}b").body == b"body"

    def test_a_copy_of_what_was_uploaded_in_parts_is_whole(self, storage: ObjectStorage, place: str) -> None:
        storage.put_stream(f"{place}a", blocks(LONG))
        version = storage.copy(f"{place}a", f"{place}b")
        info = storage.head(f"{place}b")
        assert (info.size_bytes, info.version) == (LONG * MEBIBYTE, version)
        assert storage.get_range(f"{place}b", (LONG - 1) * MEBIBYTE, 3) == bytes([LONG - 1]) * 3

    def test_a_copy_of_what_is_not_there_is_not_found(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(NotFound):
            storage.copy(f"{place}absent", f"{place}b")
        with pytest.raises(NotFound):
            storage.head(f"{place}b")

    def test_all_methods_may_be_called_from_several_threads(self, storage: ObjectStorage, place: str) -> None:
        def work(thread: int) -> list[Version]:
            mine, versions = f"{place}{thread}/", []
            for number in range(6):
                versions.append(storage.put(f"{mine}{number}", b"%d %d" % (thread, number)))
                assert storage.get(f"{mine}{number}").body == b"%d %d" % (thread, number)
            assert [one.body for one in storage.get_many([f"{mine}0", f"{mine}5"])] == [
                b"%d 0" % thread,
                b"%d 5" % thread,
            ]
            storage.delete(f"{mine}0")
            assert len(storage.list(mine).objects) == 5
            return versions

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(len(versions) == 6 for versions in pool.map(work, range(THREADS)))
        assert len(storage.list(place).objects) == 5 * THREADS
