"""Every object store against the one suite: in memory, on SeaweedFS, on moto, on fake-gcs-server, bare and wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache, cached_property
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from adapters import Adapters, connect
from adapters.conformance import differences
from adapters.conformance.object_storage import ObjectStorageSuite
from adapters.conformance.object_storage_listing import FullPagePromises
from adapters.conformance.object_storage_server import DeniedPromises, PresignPromises, ServerPromises, SweepPromises
from adapters.drivers.storage import gcs, memory, s3
from adapters.ports import ObjectStorage
from adapters.prefix import Prefixed
from adapters.retry import Retrying
from adapters.settings import Secret, Settings, StorageSettings
from tests.servers import ObjectServer, free_ports, gcs_server, moto_server, s3_server

TIMEOUT_SECONDS = 10.0
PREFIX = "teams/a b/"
T = TypeVar("T")


class Opener(Generic[T]):
    """Opens stores of one server, settings changed by name, and closes them all at the end."""

    def __init__(self, open_: Callable[[StorageSettings], T], section: StorageSettings) -> None:
        self._open, self.section = open_, section
        self._opened = ExitStack()

    def __call__(self, **changed: Any) -> T:
        store: Any = self._open(msgspec.structs.replace(self.section, **changed))
        self._opened.callback(store.close)
        return store

    @cached_property
    def store(self) -> T:
        """The one of the settings as they are."""
        return self()

    def close(self) -> None:
        self._opened.close()


@pytest.fixture(scope="module")
def seaweedfs() -> Iterator[ObjectServer]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def seaweedfs_settings(seaweedfs: ObjectServer, secret: Callable[[str], Secret]) -> StorageSettings:
    return settings_of(seaweedfs, secret)


@pytest.fixture(scope="module")
def on_seaweedfs(seaweedfs_settings: StorageSettings) -> Iterator[Opener[s3.S3Storage]]:
    with closing(Opener(s3.open, seaweedfs_settings)) as opener:
        yield opener


@pytest.fixture(scope="module")
def connected(seaweedfs_settings: StorageSettings) -> Iterator[Callable[..., Adapters]]:
    """The ports of a cloud, with the storage's settings changed by name; the same ones when asked again."""
    with ExitStack() as stack:

        @cache
        def platform(cloud: str, **changed: str) -> Adapters:
            section = msgspec.structs.replace(seaweedfs_settings, **changed)
            return stack.enter_context(connect(Settings(cloud=cloud, storage=section)))

        yield platform


@pytest.fixture(scope="module")
def on_moto(secret: Callable[[str], Secret]) -> Iterator[Opener[s3.S3Storage]]:
    with moto_server() as server, closing(Opener(s3.open, settings_of(server, secret))) as opener:
        yield opener


@pytest.fixture(scope="module")
def on_fake_gcs() -> Iterator[Opener[gcs.GcsStorage]]:
    with gcs_server() as server:
        section = StorageSettings(bucket=server.bucket, endpoint=server.url, timeout_seconds=TIMEOUT_SECONDS)
        with closing(Opener(gcs.open, section)) as opener:
            yield opener


def settings_of(server: ObjectServer, secret: Callable[[str], Secret]) -> StorageSettings:
    """How to reach the server's bucket as its administrator."""
    return StorageSettings(
        bucket=server.bucket,
        endpoint=server.url,
        region="us-east-1",
        access_key=secret(server.access_key),
        secret_key=secret(server.secret_key),
        timeout_seconds=TIMEOUT_SECONDS,
    )


class TestMemory(ObjectStorageSuite, FullPagePromises):
    @pytest.fixture
    def storage(self) -> ObjectStorage:
        return memory.open(StorageSettings())


class TestMemoryUnderPrefix(ObjectStorageSuite):
    @pytest.fixture
    def storage(self) -> ObjectStorage:
        whole = memory.open(StorageSettings())
        whole.put("teams/other", b"of somebody else")
        return Prefixed(whole, PREFIX)


class TestMemoryRetrying(ObjectStorageSuite):
    @pytest.fixture
    def storage(self) -> ObjectStorage:
        return Retrying(memory.open(StorageSettings()), deadline_seconds=TIMEOUT_SECONDS)


class OnAServer(ServerPromises):
    """A bare driver: give it a fixture `opener`."""

    @pytest.fixture
    def storage(self, opener: Opener[ObjectStorage]) -> ObjectStorage:
        return opener.store

    @pytest.fixture
    def nowhere(self, opener: Opener[ObjectStorage]) -> ObjectStorage:
        return opener(bucket="no-such-bucket")

    @pytest.fixture
    def away(self, opener: Opener[ObjectStorage]) -> ObjectStorage:
        return opener(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", timeout_seconds=2.0)


class OnSeaweedFS(DeniedPromises, PresignPromises, SweepPromises):
    """What SeaweedFS has beyond the common ground: users, signatures, uploads that can be listed."""

    server_name = differences.SEAWEEDFS
    prefix = ""

    def under_prefix(self, storage: ObjectStorage) -> ObjectStorage:
        return Prefixed(storage, self.prefix) if self.prefix else storage

    @pytest.fixture
    def reader(
        self, seaweedfs: ObjectServer, on_seaweedfs: Opener[s3.S3Storage], secret: Callable[[str], Secret]
    ) -> ObjectStorage:
        keys = {"access_key": secret(seaweedfs.reader_key), "secret_key": secret(seaweedfs.reader_secret)}
        return self.under_prefix(on_seaweedfs(**keys))

    @pytest.fixture
    def stranger(self, on_seaweedfs: Opener[s3.S3Storage], secret: Callable[[str], Secret]) -> ObjectStorage:
        return self.under_prefix(on_seaweedfs(access_key=secret("unknown"), secret_key=secret("unknown")))

    @pytest.fixture
    def begin_upload(self, on_seaweedfs: Opener[s3.S3Storage]) -> Callable[[str], None]:
        client = on_seaweedfs.store._client

        def begin(key: str) -> None:
            place = {"Bucket": on_seaweedfs.section.bucket, "Key": self.prefix + key}
            upload = client.create_multipart_upload(**place)["UploadId"]
            client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"left behind")

        return begin


class TestS3(ObjectStorageSuite, FullPagePromises, OnSeaweedFS, OnAServer):
    @pytest.fixture
    def opener(self, on_seaweedfs: Opener[s3.S3Storage]) -> Opener[s3.S3Storage]:
        return on_seaweedfs


class OfSettings(ObjectStorageSuite, OnSeaweedFS):
    """As a cloud composes it, which is retried, and under a prefix where the settings say so."""

    cloud: str

    @pytest.fixture
    def storage(self, connected: Callable[..., Adapters]) -> ObjectStorage:
        return connected(self.cloud, prefix=self.prefix).storage


class TestS3OfLocal(OfSettings):
    cloud, prefix = "local", PREFIX


class TestS3OfOnprem(OfSettings):
    cloud, prefix = "onprem", ""


class TestS3OfAws(OfSettings):
    cloud, prefix = "aws", "one/"


class TestS3OnMoto(ObjectStorageSuite, OnAServer):
    server_name = differences.MOTO

    @pytest.fixture
    def opener(self, on_moto: Opener[s3.S3Storage]) -> Opener[s3.S3Storage]:
        return on_moto


class TestGcs(ObjectStorageSuite, OnAServer):
    server_name = differences.FAKE_GCS

    @pytest.fixture
    def opener(self, on_fake_gcs: Opener[gcs.GcsStorage]) -> Opener[gcs.GcsStorage]:
        return on_fake_gcs
