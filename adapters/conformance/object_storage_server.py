"""Promises of a store behind a server: errors told apart, URLs that others may use, unfinished uploads removed."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator

import httpx
import pytest

from adapters.errors import Denied, Invalid, NotFound, Transient
from adapters.ports import Capability, ObjectStorage

MEBIBYTE = 1 << 20
PART_BYTES = 8 * MEBIBYTE
AWAY_SECONDS = 15.0
"""For all calls together: a refused connection takes none of them half a second."""
URL_SECONDS = 20.0


class ServerPromises:
    """Give the class the fixtures `nowhere`, a bucket that is not there, and `away`, a server that does not answer."""

    def test_a_bucket_that_is_not_there_is_not_found(self, nowhere: ObjectStorage) -> None:
        for call in (
            lambda: nowhere.get("k"),
            lambda: nowhere.head("k"),
            lambda: nowhere.put("k", b""),
            lambda: nowhere.list(),
            lambda: next(nowhere.get_many(["k"])),
            lambda: nowhere.put_many([("k", b"")]),
        ):
            with pytest.raises(NotFound):
                call()

    def test_a_server_that_is_away_is_told_as_transient_and_soon(self, away: ObjectStorage) -> None:
        started = time.monotonic()
        for call in (
            lambda: away.get("k"),
            lambda: away.get_range("k", 0, 1),
            lambda: next(away.stream("k")),
            lambda: away.head("k"),
            lambda: away.put("k", b""),
            lambda: away.put_stream("k", [b""]),
            lambda: away.put_stream("k", [b"x" * PART_BYTES, b"x"]),
            lambda: away.list(),
            lambda: away.delete("k"),
            lambda: away.copy("a", "b"),
            lambda: away.tags("k"),
            lambda: next(away.get_many(["k"])),
            lambda: away.put_many([("k", b"")]),
        ):
            with pytest.raises(Transient) as caught:
                call()
            assert isinstance(caught.value, ConnectionError)
        assert time.monotonic() - started < AWAY_SECONDS

    def test_an_error_names_the_key_and_no_address(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(NotFound) as caught:
            storage.get(f"{place}absent")
        assert f"{place}absent: " in str(caught.value)
        assert "http" not in str(caught.value)
        assert caught.value.__cause__ is not None

    def test_a_long_streamed_body_is_held_in_parts(self, storage: ObjectStorage, place: str) -> None:
        def blocks() -> Iterator[bytes]:
            for number in range(48):
                yield bytes([number]) * MEBIBYTE

        tracemalloc.start()
        try:
            storage.put_stream(f"{place}k", blocks())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert storage.head(f"{place}k").size_bytes == 48 * MEBIBYTE
        # Two parts, because one more must be seen to know that there is more than one, and what the library sends.
        assert peak < 4.5 * PART_BYTES, f"{peak / PART_BYTES:.1f} parts were held"


class DeniedPromises:
    """Give the class the fixtures `reader`, who may read the bucket, and `stranger`, whose credentials are unknown."""

    def test_who_may_not_write_is_denied_and_changes_nothing(
        self, storage: ObjectStorage, reader: ObjectStorage, place: str
    ) -> None:
        version = storage.put(f"{place}k", b"kept")
        for call in (
            lambda: reader.put(f"{place}k", b"x"),
            lambda: reader.put_stream(f"{place}k", [b"x"]),
            lambda: reader.put_many([(f"{place}k", b"x")]),
            lambda: reader.delete(f"{place}k"),
            lambda: reader.copy(f"{place}k", f"{place}c"),
        ):
            with pytest.raises(Denied) as caught:
                call()
            assert isinstance(caught.value, PermissionError)
        assert reader.get(f"{place}k").info.version == version
        assert [info.key for info in reader.list(place).objects] == [f"{place}k"]

    def test_credentials_that_are_unknown_are_denied(self, stranger: ObjectStorage) -> None:
        for call in (
            lambda: stranger.get("k"),
            lambda: stranger.head("k"),
            lambda: stranger.put("k", b""),
            lambda: stranger.list(),
            lambda: next(stranger.get_many(["k"])),
        ):
            with pytest.raises(Denied):
                call()


class PresignPromises:
    """Of `presign`, where `capabilities` has it."""

    def test_anyone_may_get_by_a_signed_url(self, storage: ObjectStorage, place: str) -> None:
        assert Capability.PRESIGN in storage.capabilities
        storage.put(f"{place}with space+ü.txt", b"body", content_type="text/plain")
        answer = httpx.get(storage.presign(f"{place}with space+ü.txt"), timeout=URL_SECONDS)
        assert (answer.status_code, answer.content) == (200, b"body")

    def test_anyone_may_put_by_a_signed_url(self, storage: ObjectStorage, place: str) -> None:
        url = storage.presign(f"{place}k", verb="PUT")
        assert httpx.put(url, content=b"body", timeout=URL_SECONDS).status_code == 200
        assert storage.get(f"{place}k").body == b"body"

    def test_a_signed_url_is_good_for_one_verb_and_one_key(self, storage: ObjectStorage, place: str) -> None:
        for name in "ab":
            storage.put(f"{place}{name}", b"body")
        url = storage.presign(f"{place}a")
        assert httpx.put(url, content=b"x", timeout=URL_SECONDS).status_code == 403
        assert httpx.get(url.replace(f"{place}a", f"{place}b"), timeout=URL_SECONDS).status_code == 403
        assert storage.get(f"{place}a").body == b"body"

    def test_a_signed_url_expires(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"body")
        url = storage.presign(f"{place}k", expires_seconds=1)
        deadline = time.monotonic() + URL_SECONDS
        while httpx.get(url, timeout=URL_SECONDS).status_code != 403:
            assert time.monotonic() < deadline, "it was still good long after its end"
            time.sleep(0.1)

    @pytest.mark.parametrize(("verb", "seconds"), [("DELETE", 60), ("get", 60), ("GET", 0), ("GET", 604_801)])
    def test_another_verb_or_expiry_is_invalid(
        self, storage: ObjectStorage, place: str, verb: str, seconds: int
    ) -> None:
        with pytest.raises(Invalid):
            storage.presign(f"{place}k", verb=verb, expires_seconds=seconds)


class SweepPromises:
    """Give the class a fixture `begin_upload(key)` that leaves an upload with one part behind, as a killed writer does."""

    def test_uploads_that_were_never_completed_are_swept(
        self, storage: ObjectStorage, place: str, begin_upload: Callable[[str], None]
    ) -> None:
        storage.sweep_uploads(older_than_seconds=0)
        storage.put(f"{place}visible", b"body")
        for name in "abc":
            begin_upload(f"{place}{name}")
        assert storage.sweep_uploads(older_than_seconds=3600) == 0
        assert storage.sweep_uploads(older_than_seconds=0) == 3
        assert storage.sweep_uploads(older_than_seconds=0) == 0
        assert [info.key for info in storage.list(place).objects] == [f"{place}visible"]

    def test_a_streamed_body_that_breaks_off_leaves_nothing_to_sweep(self, storage: ObjectStorage, place: str) -> None:
        def breaking() -> Iterator[bytes]:
            for _ in range(3):
                yield bytes(PART_BYTES)
            raise KeyError(place)

        storage.sweep_uploads(older_than_seconds=0)
        with pytest.raises(KeyError):
            storage.put_stream(f"{place}k", breaking())
        assert storage.sweep_uploads(older_than_seconds=0) == 0
