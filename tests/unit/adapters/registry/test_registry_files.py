"""Files of versions: stored once, streamed, checked, copied between registries; the suite has what a download promises."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.drivers.registry.blobs import CHUNK_BYTES, FileChunks, blob_key
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage.memory import MemoryStorage
from adapters.errors import Conflict, Corrupt, Invalid, NotFound, Transient
from adapters.ports import Artifact, Body, ModelVersion, ObjectStorage, Version
from adapters.retry import Retrying
from adapters.transfer import COPIED_FROM, copy_model
from tests.unit.adapters.registry.doubles import Around, Counting, LosingAnswers

FILES: dict[str, Body | Path] = {"config.json": b"{}", "tokenizer/vocab.json": b"vocabulary"}


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def registry(storage: ObjectStorage) -> ObjectRegistry:
    return ObjectRegistry(storage)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of two chunks and a half."""
    path = tmp_path / "large.safetensors"
    block = random.Random(7).randbytes(
        (1 << 16) - 8
    )  # numbered, so that no two are alike: it is quicker than so much chance
    path.write_bytes(b"".join(number.to_bytes(8) + block for number in range(CHUNK_BYTES * 5 // 2 >> 16)))
    return path


class Draining(Around):
    """Takes a stream in without keeping it."""

    def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
        assert max(len(chunk) for chunk in chunks) == CHUNK_BYTES
        return Version("drained")


# ------------------------------------------------------------------------------------------------------------- storing


def test_a_large_file_is_never_whole_in_memory(storage: MemoryStorage, large: Path) -> None:
    registry = ObjectRegistry(Draining(storage).port())
    tracemalloc.start()
    try:
        registry.register("fraud", {"weights.safetensors": large})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * CHUNK_BYTES + (1 << 20) < large.stat().st_size


def test_a_file_that_is_there_is_not_sent_again(storage: MemoryStorage, large: Path) -> None:
    counting = Counting(storage)
    registry = ObjectRegistry(counting.port())
    registry.register("fraud", {"weights.safetensors": large})
    counting.calls.clear()
    registry.register("vision", {"other.safetensors": large})
    assert counting.calls["put_stream"] == 0 and counting.calls["put"] == 1


def test_a_file_that_changes_while_it_is_registered_is_refused(storage: MemoryStorage, large: Path) -> None:
    class Meddling(Around):
        def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
            with large.open("r+b") as file:
                file.write(b"changed")
            return self.inner.put_stream(key, chunks, **options)

    registry = ObjectRegistry(Meddling(storage).port())
    with pytest.raises(Conflict, match="changed while it was registered"):
        registry.register("fraud", {"weights.safetensors": large})
    assert storage.list("").objects == ()


def test_an_upload_of_a_file_is_begun_again_after_a_passing_fault(storage: MemoryStorage, large: Path) -> None:
    failures = iter([True, True])
    losing = LosingAnswers(storage, lose=lambda key: "/blobs/" in key and next(failures, False), applied=False)
    registry = ObjectRegistry(Retrying(losing.port(), deadline_seconds=10.0, sleep=lambda seconds: None))
    made = registry.register("fraud", {"weights.safetensors": large})
    assert len(losing.lost) == 2
    assert registry.read(made, "weights.safetensors") == large.read_bytes()


def test_a_fault_while_a_file_is_stored_leaves_no_version(storage: MemoryStorage) -> None:
    losing = LosingAnswers(storage, lose=lambda key: "/blobs/" in key, applied=False)
    with pytest.raises(Transient):
        ObjectRegistry(losing.port()).register("fraud", FILES)
    assert ObjectRegistry(storage).models() == []


def test_an_object_of_another_size_under_a_digest_is_named(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    key = blob_key(hashlib.sha256(b"{}").hexdigest())
    storage.put(key, b"longer")
    with pytest.raises(Corrupt, match=f"{key}.*2 bytes, but 6"):
        registry.register("fraud", FILES)


def test_what_is_neither_bytes_nor_a_file_is_refused(registry: ObjectRegistry, tmp_path: Path) -> None:
    for source in ("weights.safetensors", 3, None, tmp_path, tmp_path / "missing"):
        with pytest.raises(Invalid, match="config"):
            registry.register("fraud", {"config": source})  # pyright: ignore[reportArgumentType]


def test_the_chunks_of_a_file_are_a_sequence(large: Path) -> None:
    body = large.read_bytes()
    chunks = FileChunks(large, Artifact("large", len(body), hashlib.sha256(body).hexdigest()))
    assert len(chunks) == 3
    assert b"".join(chunks) == b"".join(chunks[:]) == body
    assert chunks[-1] == body[2 * CHUNK_BYTES :]
    with pytest.raises(IndexError):
        chunks[3]


# --------------------------------------------------------------------------------------------------------- downloading


def test_of_a_version_that_lost_a_file_nothing_appears(
    registry: ObjectRegistry, storage: MemoryStorage, tmp_path: Path
) -> None:
    made = registry.register("fraud", FILES)
    storage.delete(blob_key(hashlib.sha256(b"vocabulary").hexdigest()))
    with pytest.raises(NotFound, match=r"fraud version 1, file tokenizer/vocab\.json"):
        registry.download(made, tmp_path / "models" / "fraud-1")
    assert list((tmp_path / "models").iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- copying


@pytest.fixture
def target() -> ObjectRegistry:
    return ObjectRegistry(MemoryStorage())


def test_a_copy_has_the_same_digest_and_says_where_it_is_from(registry: ObjectRegistry, target: ObjectRegistry) -> None:
    target.register("fraud", {"other.json": b"[]"})
    registry.register("fraud", FILES, metrics={"accuracy": 0.9}, params={"depth": "3"}, lineage={"commit": "0a1b"})
    registry.set_tags("fraud", 1, {"team": "risk"})
    registry.set_alias("fraud", "champion", 1)
    made = copy_model(registry, target, "fraud", "champion", origin="onprem")
    original = registry.get("fraud", 1)
    assert made == replace(
        original,
        version=2,
        aliases=(),
        created=made.created,
        lineage={"commit": "0a1b", COPIED_FROM: "onprem:fraud/1"},
    )
    assert {name: target.read(made, name) for name in FILES} == FILES


def test_a_second_copy_finds_the_first(registry: ObjectRegistry, target: ObjectRegistry) -> None:
    for _ in range(2):
        registry.register("fraud", FILES)
    first = copy_model(registry, target, "fraud", 1, origin="onprem")
    assert copy_model(registry, target, "fraud", 1, origin="onprem") == first
    assert copy_model(registry, target, "fraud", 2, origin="onprem").version == 2
    assert copy_model(registry, target, "fraud", 1, origin="elsewhere").version == 3


def test_a_copy_of_a_copy_names_both_origins(registry: ObjectRegistry, target: ObjectRegistry) -> None:
    registry.register("fraud", FILES)
    copy_model(registry, target, "fraud", 1, origin="onprem")
    back = copy_model(target, registry, "fraud", 1, origin="gcp")
    assert (back.version, back.lineage[COPIED_FROM]) == (2, "gcp:fraud/1 < onprem:fraud/1")


def test_a_damaged_original_is_not_copied(
    registry: ObjectRegistry, storage: MemoryStorage, target: ObjectRegistry
) -> None:
    made = registry.register("fraud", FILES)
    storage.put(blob_key(made.artifacts[0].sha256), b"[]")
    with pytest.raises(Corrupt, match="fraud version 1"):
        copy_model(registry, target, "fraud", 1, origin="onprem")
    assert target.models() == []


def test_a_copy_that_changes_on_its_way_is_reported(registry: ObjectRegistry, target: ObjectRegistry) -> None:
    class BadDisk:
        def get(self, model: str, version: int | str) -> ModelVersion:
            return registry.get(model, version)

        def download(self, version: ModelVersion, folder: Path) -> Path:
            registry.download(version, folder)
            (folder / "config.json").write_bytes(b"[]")
            return folder

    registry.register("fraud", FILES)
    with pytest.raises(Corrupt, match="the copy has digest"):
        copy_model(BadDisk(), target, "fraud", 1, origin="onprem")
