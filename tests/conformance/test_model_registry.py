"""Every model registry against the one suite: in memory, on SeaweedFS, on a GCS held to one write a second per object."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.conformance.model_registry import Damage, ModelRegistrySuite
from adapters.drivers.registry.blobs import blob_key
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import memory
from adapters.ports import ModelRegistry, ModelVersion, ObjectStorage
from adapters.settings import StorageSettings
from tests.unit.adapters.registry.doubles import OneWriteASecond


def overwriting(storage: ObjectStorage) -> Damage:
    """Damage a file by overwriting its object with as many other bytes."""

    def damage(version: ModelVersion, name: str) -> None:
        (artifact,) = (one for one in version.artifacts if one.name == name)
        storage.put(blob_key(artifact.sha256), b"x" * artifact.size_bytes)

    return damage


class ObjectRegistrySuite(ModelRegistrySuite):
    """The suite for registries in object storage: give it a fixture `storage`."""

    @pytest.fixture
    def registry(self, storage: ObjectStorage) -> ModelRegistry:
        return ObjectRegistry(storage)

    @pytest.fixture
    def elsewhere(self, storage: ObjectStorage) -> ModelRegistry:
        return ObjectRegistry(storage)

    @pytest.fixture
    def damage(self, storage: ObjectStorage) -> Damage:
        return overwriting(storage)


class TestMemory(ObjectRegistrySuite):
    random_steps = 500

    @pytest.fixture
    def storage(self) -> ObjectStorage:
        return memory.open(StorageSettings())


class TestMemoryHeldToOneWriteASecond(ObjectRegistrySuite):
    @pytest.fixture
    def limited(self) -> OneWriteASecond:
        return OneWriteASecond(memory.open(StorageSettings()))

    @pytest.fixture
    def storage(self, limited: OneWriteASecond) -> Iterator[ObjectStorage]:
        yield limited.port()
        assert limited.rewritten == []

    @pytest.fixture
    def damage(self, limited: OneWriteASecond) -> Damage:
        return overwriting(limited.inner)
