"""Every model registry against the one suite: in memory, on SeaweedFS, on a GCS held to one write a second per object."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.conformance.model_registry import Damage, ModelRegistrySuite
from adapters.drivers.registry.blobs import blob_key
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import gcs, memory, s3
from adapters.ports import ModelRegistry, ModelVersion, ObjectStorage
from adapters.prefix import Prefixed
from adapters.retry import Retrying
from adapters.settings import Secret, StorageSettings
from tests.servers import ObjectServer, gcs_server, s3_server
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


@pytest.fixture(scope="module")
def on_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retrying]:
    with s3_server() as server:
        store = Retrying(s3.open(s3_access(server, tmp_path_factory.mktemp("secrets"))), deadline_seconds=30.0)
        yield store
        store.close()


@pytest.fixture(scope="module")
def on_gcs() -> Iterator[Retrying]:
    with gcs_server() as server:
        settings = StorageSettings(bucket=server.bucket, endpoint=server.url, project="test")
        store = Retrying(gcs.open(settings), deadline_seconds=30.0)
        yield store
        store.close()


def s3_access(server: ObjectServer, folder: Path) -> StorageSettings:
    """Settings for a local S3 server, its keys in files of `folder`."""
    (folder / "access").write_text(server.access_key)
    (folder / "secret").write_text(server.secret_key)
    return StorageSettings(
        bucket=server.bucket,
        endpoint=server.url,
        region="us-east-1",
        access_key=Secret(f"file:{folder / 'access'}"),
        secret_key=Secret(f"file:{folder / 'secret'}"),
    )


class TestS3(ObjectRegistrySuite):
    """On SeaweedFS, composed as `connect` does it: retried, and under a prefix."""

    random_steps = 40

    @pytest.fixture
    def storage(self, on_s3: Retrying) -> ObjectStorage:
        return Prefixed(on_s3, f"{uuid.uuid4().hex}/")


class TestGcsHeldToOneWriteASecond(ObjectRegistrySuite):
    """On fake-gcs-server, with the limit that the real one has."""

    random_steps = 40

    @pytest.fixture
    def limited(self, on_gcs: Retrying) -> OneWriteASecond:
        return OneWriteASecond(Prefixed(on_gcs, f"{uuid.uuid4().hex}/"))

    @pytest.fixture
    def storage(self, limited: OneWriteASecond) -> Iterator[ObjectStorage]:
        yield limited.port()
        assert limited.rewritten == []

    @pytest.fixture
    def damage(self, limited: OneWriteASecond) -> Damage:
        return overwriting(limited.inner)
