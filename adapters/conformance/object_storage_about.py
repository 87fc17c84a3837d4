"""Promises about what belongs to an object beside its body: content type, metadata, tags, storage class."""

from __future__ import annotations

import pytest

from adapters.errors import Invalid, NotFound
from adapters.ports import ABSENT, Capability, ObjectStorage, StorageClass

METADATA = {"step": "1200", "run.id": "a-b_c", "spaces": "a  b c", "signs": "%=&?#\"'\\~+;,:/@"}
TAGS = {"team": "risk", "cost centre": "a+b=c/d:e@f_g-h.i", "empty": "", "größe": "été"}


class AboutPromises:
    """Of content type, metadata, tags and storage class."""

    def test_the_content_type_is_kept(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"", content_type="application/x-safetensors; charset=utf-8")
        assert storage.head(f"{place}k").content_type == "application/x-safetensors; charset=utf-8"
        storage.put(f"{place}k", b"")
        assert storage.head(f"{place}k").content_type == "application/octet-stream"

    def test_metadata_is_kept_as_it_was_given(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"", metadata=METADATA)
        assert dict(storage.head(f"{place}k").metadata) == METADATA
        assert dict(storage.get(f"{place}k").info.metadata) == METADATA
        assert dict(next(storage.get_many([f"{place}k"])).info.metadata) == METADATA

    def test_metadata_may_be_as_long_as_two_kilobytes(self, storage: ObjectStorage, place: str) -> None:
        metadata = {"a": "x" * 1900}
        storage.put(f"{place}k", b"", metadata=metadata)
        assert dict(storage.head(f"{place}k").metadata) == metadata
        with pytest.raises(Invalid):
            storage.put(f"{place}k", b"", metadata={"a": "x" * 2048})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Upper", "x"),
            ("", "x"),
            ("a b", "x"),
            ("é", "x"),
            ("a\nb", "x"),
            ("a", ""),
            ("a", "é"),
            ("a", " x"),
            ("a", "x "),
            ("a", "x\ny"),
            ("a", 7),
            ("isthmus-tags", "x"),
        ],
    )
    def test_metadata_that_some_store_would_change_is_invalid(
        self, storage: ObjectStorage, place: str, name: str, value: str
    ) -> None:
        with pytest.raises(Invalid):
            storage.put(f"{place}k", b"", metadata={name: value})
        with pytest.raises(Invalid):
            storage.put_stream(f"{place}k", [b""], metadata={name: value})
        with pytest.raises(NotFound):
            storage.head(f"{place}k")

    def test_the_nonce_of_a_conditional_write_is_not_shown(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"", if_version=ABSENT, metadata={"isthmus-writer": "abc", "a": "1"})
        assert dict(storage.head(f"{place}k").metadata) == {"a": "1"}
        assert dict(storage.get(f"{place}k").info.metadata) == {"a": "1"}
        assert dict(next(storage.get_many([f"{place}k"])).info.metadata) == {"a": "1"}
        storage.put(f"{place}k", b"1", if_version=version)
        assert dict(storage.head(f"{place}k").metadata) == {}

    def test_tags_are_what_was_set_last(self, storage: ObjectStorage, place: str) -> None:
        assert Capability.TAGS in storage.capabilities
        storage.put(f"{place}k", b"")
        assert storage.tags(f"{place}k") == {}
        for tags in (TAGS, {"team": "fraud"}, {}):
            storage.set_tags(f"{place}k", tags)
            assert storage.tags(f"{place}k") == tags

    def test_tags_leave_body_version_and_metadata_alone(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"body", content_type="text/plain", metadata={"a": "1"})
        storage.set_tags(f"{place}k", TAGS)
        stored = storage.get(f"{place}k")
        assert (stored.body, stored.info.version, stored.info.content_type) == (b"body", version, "text/plain")
        assert dict(stored.info.metadata) == dict(storage.head(f"{place}k").metadata) == {"a": "1"}

    def test_tags_do_not_outlive_the_object(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"")
        storage.set_tags(f"{place}k", TAGS)
        storage.put(f"{place}k", b"other")
        assert storage.tags(f"{place}k") == {}

    def test_a_copy_has_the_tags(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"")
        storage.set_tags(f"{place}k", {"team": "risk"})
        storage.copy(f"{place}k", f"{place}copy")
        assert storage.tags(f"{place}copy") == {"team": "risk"}

    def test_tags_of_what_is_not_there_are_not_found(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(NotFound):
            storage.tags(f"{place}absent")
        with pytest.raises(NotFound):
            storage.set_tags(f"{place}absent", {"a": "b"})

    @pytest.mark.parametrize(
        "tags",
        [{str(n): "" for n in range(11)}, {"": "x"}, {"a" * 129: ""}, {"a": "b" * 257}, {"a": "b&c"}, {"a\n": ""}],
    )
    def test_tags_that_some_store_would_refuse_are_invalid(
        self, storage: ObjectStorage, place: str, tags: dict[str, str]
    ) -> None:
        storage.put(f"{place}k", b"")
        with pytest.raises(Invalid):
            storage.set_tags(f"{place}k", tags)
        assert storage.tags(f"{place}k") == {}

    @pytest.mark.parametrize("storage_class", StorageClass)
    def test_an_object_is_stored_in_its_class(
        self, storage: ObjectStorage, place: str, storage_class: StorageClass
    ) -> None:
        assert Capability.STORAGE_CLASS in storage.capabilities
        storage.put(f"{place}k", b"body", storage_class=storage_class)
        storage.put_stream(f"{place}s", [b"body"], storage_class=storage_class)
        assert storage.head(f"{place}k").storage_class is storage_class
        assert [info.storage_class for info in storage.list(place).objects] == [storage_class] * 2

    def test_a_read_tells_the_class(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"body", storage_class=StorageClass.COLD)
        assert storage.get(f"{place}k").info.storage_class is StorageClass.COLD

    def test_an_object_can_be_moved_to_another_class(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"body", content_type="text/plain", metadata={"a": "1"})
        for storage_class in (StorageClass.WARM, StorageClass.COLD, StorageClass.HOT):
            storage.set_storage_class(f"{place}k", storage_class)
            info = storage.head(f"{place}k")
            assert (info.storage_class, info.content_type, dict(info.metadata)) == (
                storage_class,
                "text/plain",
                {"a": "1"},
            )
            assert storage.get(f"{place}k").body == b"body"

    def test_a_move_to_another_class_keeps_the_tags(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"body")
        storage.set_tags(f"{place}k", {"team": "risk"})
        storage.set_storage_class(f"{place}k", StorageClass.WARM)
        assert storage.tags(f"{place}k") == {"team": "risk"}

    def test_a_move_of_what_is_not_there_is_not_found(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(NotFound):
            storage.set_storage_class(f"{place}absent", StorageClass.WARM)

    def test_nothing_is_swept_that_is_visible(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"body")
        storage.put_stream(f"{place}s", [b"body"])
        storage.sweep_uploads(older_than_seconds=0)
        assert [info.key for info in storage.list(place).objects] == [f"{place}k", f"{place}s"]
