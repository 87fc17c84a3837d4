"""Object storage on Cloud Storage, through google-cloud-storage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from adapters.drivers.storage import gcs_client, rules
from adapters.drivers.storage.driver import Versions, raising
from adapters.drivers.storage.gcs_client import Blob, RequestRangeNotSatisfiable, Signing
from adapters.drivers.storage.gcs_errors import BY_STATUS, translating
from adapters.drivers.storage.gcs_objects import CLASSES, Answer, Download, PartReader, Upload, generation, info, listed
from adapters.drivers.storage.parts import PART_BYTES, one_or_parts
from adapters.errors import AdapterError, NotFound
from adapters.ports import Body, Capability, Object, ObjectInfo, Page, StorageClass, Version

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client

    from adapters.drivers.storage.bulk import Bulk
    from adapters.settings import StorageSettings

LISTED: Final = "items(name,size,generation,timeCreated,storageClass),prefixes,nextPageToken"


def open(settings: StorageSettings) -> GcsStorage:
    """The settings' bucket. Nothing is sent before the first call."""
    return GcsStorage(gcs_client.client(settings), settings)


class GcsStorage:
    """One bucket. A version is a generation, which grows with every write of the object."""

    def __init__(self, client: Client, settings: StorageSettings) -> None:
        self._client = client
        self._bucket: Bucket = client.bucket(settings.bucket)
        self._settings = settings
        # Repetition belongs to `adapters.retry`: the library repeats only parts, below.
        self._once: Any = {"timeout": gcs_client.timeouts(settings), "retry": None}
        self._parts: Any = {**self._once, "retry": gcs_client.part_retry(settings)}
        signs = isinstance(client._credentials, Signing)
        self.capabilities = frozenset(Capability) if signs else frozenset(Capability) - {Capability.PRESIGN}

    def get(self, key: str) -> Object:
        blob = Answer(rules.check_key(key), self._bucket)
        with translating(key):
            body = blob.download_as_bytes(**self._once)
        return Object(body, blob.info(len(body), self._metadata_of))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        rules.check_range(rules.check_key(key), start, length)
        if not length:
            self.head(key)
            return b""
        with translating(key):
            try:
                return Blob(key, self._bucket).download_as_bytes(start=start, end=start + length - 1, **self._once)
            except RequestRangeNotSatisfiable:
                return b""

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        yield from self.open_stream(key, chunk_bytes=chunk_bytes)

    def head(self, key: str) -> ObjectInfo:
        return info(self._loaded(key))

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        rules.check_limit(limit)
        with translating(prefix or self._settings.bucket):
            found: Any = self._client.list_blobs(
                self._bucket,
                prefix=rules.check_prefix(prefix) or None,
                delimiter=delimiter or None,
                page_token=cursor,
                page_size=limit,
                fields=LISTED,
                **self._once,
            )
            objects = tuple(listed(blob) for blob in next(found.pages, ()))
        return Page(objects, tuple(sorted(found.prefixes)), found.next_page_token)

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        return raising(self.get_each(keys))

    def put_many(self, items: Iterable[tuple[str, Body]]) -> Versions:
        return [*raising(self.put_each(items))]

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        return self._bulk.get_each(keys)

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        return self._bulk.put_each(items)

    def put(
        self,
        key: str,
        body: Body,
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        content = rules.solid(body)
        blob = self._described(key, metadata, storage_class)
        with translating(key, swap=if_version is not None):
            blob.upload_from_string(
                content if isinstance(content, bytes) else bytes(content),
                content_type=content_type,
                if_generation_match=generation(key, if_version),
                **(self._once if len(content) <= PART_BYTES else self._parts),
            )
        return Version(str(blob.generation))

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Body],
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        blob = self._described(key, metadata, storage_class)
        body = one_or_parts(chunks)
        if not isinstance(body, Iterator):
            return self.put(
                key,
                body,
                if_version=if_version,
                content_type=content_type,
                metadata=metadata,
                storage_class=storage_class,
            )
        blob.chunk_size = PART_BYTES
        source: Any = PartReader(body)
        try:
            with translating(key, swap=if_version is not None):
                blob.upload_from_file(
                    source,
                    content_type=content_type,
                    if_generation_match=generation(key, if_version),
                    **self._parts,
                )
        except BaseException:
            # The first error is the one to be told; the server drops a session that cannot be ended now in a week.
            with contextlib.suppress(AdapterError), translating(key):
                blob.end_session(self._once["timeout"])
            raise
        return Version(str(blob.generation))

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        blob = Blob(rules.check_key(key), self._bucket)
        if if_version is None:
            with contextlib.suppress(NotFound), translating(key):
                blob.delete(**self._once)
            return
        rules.check_stored_version(key, if_version)
        with translating(key, swap=True):
            blob.delete(if_generation_match=generation(key, if_version), **self._once)

    def copy(self, source: str, target: str) -> Version:
        origin, blob = Blob(rules.check_key(source), self._bucket), Blob(rules.check_key(target), self._bucket)
        with translating(source):
            token, _, _ = blob.rewrite(origin, **self._once)
            while token is not None:
                token, _, _ = blob.rewrite(origin, token=token, **self._once)
        return Version(str(blob.generation))

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        if Capability.PRESIGN not in self.capabilities:
            raise rules.unsupported(Capability.PRESIGN, "gcs", "these credentials cannot sign")
        rules.check_presign(rules.check_key(key), verb, expires_seconds)
        place: dict[str, Any] = {"api_access_endpoint": endpoint} if (endpoint := self._settings.endpoint) else {}
        return Blob(key, self._bucket).generate_signed_url(
            version="v4", method=verb, expiration=timedelta(seconds=expires_seconds), **place
        )

    def tags(self, key: str) -> dict[str, str]:
        return dict(parse_qsl((self._loaded(key).metadata or {}).get(rules.TAGS_KEY, ""), keep_blank_values=True))

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        blob = Blob(rules.check_key(key), self._bucket)
        blob.metadata = {rules.TAGS_KEY: urlencode(rules.check_tags(key, tags))}
        with translating(key):
            blob.patch(**self._once)  # merged into the metadata that is there

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        blob = self._loaded(key)
        with translating(key, swap=True):
            # It rewrites the object: both conditions, or a write in between would be undone by it.
            blob.update_storage_class(
                CLASSES[StorageClass(storage_class)],
                if_generation_match=blob.generation,
                if_source_generation_match=blob.generation,
                **self._once,
            )

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        return 0  # the server neither lists upload sessions nor keeps or bills one for longer than a week

    def open_stream(self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None) -> Download:
        rules.check_chunk(rules.check_key(key), chunk_bytes)
        return Download(lambda: Answer(key, self._bucket), chunk_bytes, start, if_version, self._once)

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        blob = self._loaded(key)
        return info(blob), (blob.metadata or {}).get(rules.WRITER, "")

    def close(self) -> None:
        """Free the connections."""
        if "_bulk" in self.__dict__:
            self._bulk.close()
        self._client.close()

    @cached_property
    def _bulk(self) -> Bulk:
        from adapters.drivers.storage.bulk import Bulk

        return Bulk(
            gcs_client.bulk_store(self._client, self._settings),
            self,
            version_of=lambda answer: answer["version"],
            meanings=BY_STATUS,
            writes=not self._settings.endpoint,  # emulators lack the XML API's upload, which obstore uses
        )

    def _described(self, key: str, metadata: Mapping[str, str] | None, storage_class: StorageClass) -> Upload:
        blob = Upload(rules.check_key(key), self._bucket)
        if metadata:
            blob.metadata = rules.check_metadata(key, metadata)
        if storage_class is not StorageClass.HOT:
            blob.storage_class = CLASSES[StorageClass(storage_class)]
        return blob

    def _loaded(self, key: str, version: Version | None = None) -> Blob:
        blob = Blob(rules.check_key(key), self._bucket)
        with translating(key, swap=version is not None):
            blob.reload(if_generation_match=generation(key, version), **self._once)
        return blob

    def _metadata_of(self, key: str, version: Version) -> Mapping[str, str]:
        return rules.visible(self._loaded(key, version).metadata or {})
