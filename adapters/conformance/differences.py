"""Where a server is known not to keep a promise: what it does instead, why that is borne with, and the proof.

The plugin `tests.conformance.matrix` runs the promise's own test, which must fail there, and then `shown_by`, which must
pass: a server that was mended, or got worse, is noticed at once. `docs/storage.md` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from adapters.errors import Invalid, NotFound
from adapters.ports import ObjectStorage, StorageClass

SEAWEEDFS, MOTO, FAKE_GCS = "SeaweedFS", "moto", "fake-gcs-server"
LONG_BODY = [b"x" * (9 << 20)]


@dataclass(frozen=True)
class Difference:
    """`server` answers the test `promise` (one case of it as `test[case]`) as `instead` says."""

    server: str
    promise: str
    instead: str
    why: str
    shown_by: Callable[..., None]
    """A test of its own, which gets those of the promise's fixtures that it names."""


def keeps_equal_versions(storage: ObjectStorage, place: str) -> None:
    first = storage.put(f"{place}k", b"same")
    assert storage.put(f"{place}k", b"same") == first
    assert storage.put(f"{place}k", b"other") != first


def sorts_by_segment(storage: ObjectStorage, place: str) -> None:
    for name in ("a-b", "a/1", "a/2", "a"):
        storage.put(place + name, b"")
    found = [info.key.removeprefix(place) for info in storage.list(place).objects]
    assert found == ["a", "a/1", "a/2", "a-b"]


def lists_a_folder_past_the_limit(storage: ObjectStorage, place: str) -> None:
    for name in ("a", "a/1"):
        storage.put(place + name, b"")
    page = storage.list(place, delimiter="/", limit=1)
    assert ([info.key for info in page.objects], page.folders) == ([f"{place}a"], (f"{place}a/",))


def lists_a_folder_on_each_page_before_it(storage: ObjectStorage, place: str) -> None:
    for name in ("a", "b", "z/1"):
        storage.put(place + name, b"")
    first = storage.list(place, delimiter="/", limit=1)
    second = storage.list(place, delimiter="/", limit=1, cursor=first.cursor)
    assert first.folders == second.folders == (f"{place}z/",)


def takes_a_backslash_for_a_slash(storage: ObjectStorage, place: str) -> None:
    storage.put(f"{place}a\\b", b"body")
    assert storage.get(f"{place}a/b").body == b"body"


def keeps_no_body_of_a_folder(storage: ObjectStorage, place: str) -> None:
    storage.put(f"{place}folder/", b"body")
    assert storage.get(f"{place}folder/").body == b""


def drops_a_leading_slash(storage: ObjectStorage, place: str) -> None:
    storage.put(f"/{place}k", b"body")
    assert storage.get(f"/{place}k").body == b"body"
    assert [info.key for info in storage.list(f"/{place}k").objects] != [f"/{place}k"]


def refuses_long_segments(storage: ObjectStorage, place: str) -> None:
    storage.put(f"{place}{'s' * 255}", b"")
    with pytest.raises(Invalid):
        storage.put(f"{place}{'s' * 256}", b"")


def ignores_the_version_of_a_long_upload(storage: ObjectStorage, place: str) -> None:
    first = storage.put(f"{place}k", b"first")
    storage.put(f"{place}k", b"second")
    storage.put_stream(f"{place}k", LONG_BODY, if_version=first)
    assert storage.head(f"{place}k").size_bytes == len(LONG_BODY[0])


def ignores_the_version_of_a_deletion(storage: ObjectStorage, place: str) -> None:
    first = storage.put(f"{place}k", b"first")
    storage.put(f"{place}k", b"second")
    storage.delete(f"{place}k", if_version=first)
    with pytest.raises(NotFound):
        storage.head(f"{place}k")


def leaves_the_class_out_of_a_read(storage: ObjectStorage, place: str) -> None:
    storage.put(f"{place}k", b"", storage_class=StorageClass.COLD)
    assert storage.get(f"{place}k").info.storage_class is StorageClass.HOT
    assert storage.head(f"{place}k").storage_class is StorageClass.COLD


def moves_nothing(storage: ObjectStorage, place: str) -> None:
    storage.put(f"{place}k", b"body")
    storage.set_storage_class(f"{place}k", StorageClass.COLD)
    assert storage.head(f"{place}k").storage_class is StorageClass.HOT
    assert storage.get(f"{place}k").body == b"body"


_DIGEST = (
    "An S3 version is an ETag, a digest of the body: of a compare-and-swap A, B, A, the last is taken for the first."
)
_FILES = "It keeps keys as files in folders."
_EMULATOR = "The emulator lacks it; Cloud Storage has it."
_EMULATOR_S3 = "The emulator lacks it; S3 has it."

DIFFERENCES = (
    Difference(
        SEAWEEDFS,
        "test_rewriting_the_same_body_gives_another_version",
        "equal bodies have equal versions",
        _DIGEST,
        keeps_equal_versions,
    ),
    Difference(
        MOTO,
        "test_rewriting_the_same_body_gives_another_version",
        "equal bodies have equal versions",
        _DIGEST,
        keeps_equal_versions,
    ),
    Difference(
        SEAWEEDFS,
        "test_a_listing_is_in_the_keys_order",
        "keys are in the order of their segments: `a/1` before `a-b`",
        _FILES,
        sorts_by_segment,
    ),
    Difference(
        SEAWEEDFS,
        "test_each_folder_is_on_one_page[1]",
        "the page of `a` also has the folder `a/`, past its limit",
        _FILES,
        lists_a_folder_past_the_limit,
    ),
    Difference(
        SEAWEEDFS,
        r"test_a_key_is_no_path[back\\slash]",
        "a backslash is taken for a slash",
        _FILES,
        takes_a_backslash_for_a_slash,
    ),
    Difference(
        SEAWEEDFS, "test_a_key_may_begin_with_a_slash", "it is listed without the slash", _FILES, drops_a_leading_slash
    ),
    Difference(
        SEAWEEDFS,
        "test_a_key_may_end_in_a_slash",
        "it is a folder, whose body is not kept",
        _FILES,
        keeps_no_body_of_a_folder,
    ),
    Difference(
        SEAWEEDFS,
        "test_a_segment_may_be_as_long_as_a_key",
        "a segment between slashes has 255 bytes at most",
        _FILES,
        refuses_long_segments,
    ),
    Difference(
        MOTO,
        "test_a_streamed_body_is_stored_on_its_condition_alone[long]",
        "a body in parts is stored over any version",
        _EMULATOR_S3,
        ignores_the_version_of_a_long_upload,
    ),
    Difference(
        FAKE_GCS,
        "test_a_streamed_body_is_stored_on_its_condition_alone[long]",
        "a body in parts is stored over any version",
        _EMULATOR,
        ignores_the_version_of_a_long_upload,
    ),
    Difference(
        FAKE_GCS,
        "test_a_deletion_may_name_the_version",
        "any version is deleted",
        _EMULATOR,
        ignores_the_version_of_a_deletion,
    ),
    Difference(
        FAKE_GCS,
        "test_each_folder_is_on_one_page",
        "a folder is on every page before its place too",
        _EMULATOR,
        lists_a_folder_on_each_page_before_it,
    ),
    Difference(
        FAKE_GCS,
        "test_a_read_tells_the_class",
        "a read leaves the class out; `head` and `list` tell it",
        _EMULATOR,
        leaves_the_class_out_of_a_read,
    ),
    Difference(
        FAKE_GCS, "test_an_object_can_be_moved_to_another_class", "it stays in its class", _EMULATOR, moves_nothing
    ),
)


def known(server: str, case: str, promise: str) -> Difference | None:
    """The difference of `server` at this case of a promise, if there is one."""
    for difference in DIFFERENCES:
        if difference.server == server and difference.promise in (case, promise):
            return difference
    return None


def table() -> str:
    """All differences as a table for people."""
    rows = [f"| {one.server} | {sentence(one.promise)} | {one.instead} | {one.why} |" for one in DIFFERENCES]
    return "\n".join(["| server | promise | what it does instead | why |", "|---|---|---|---|", *rows])


def sentence(promise: str) -> str:
    """The name of a test as the sentence that it is, with the case that is meant."""
    name, _, case = promise.removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" ({case.rstrip(']')})" if case else "")
