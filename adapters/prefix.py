"""A part of an object store as a store of its own: everything under one prefix, keys seen without it.

tenant = Prefixed(platform.storage, "tenants/7/")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from adapters.drivers.storage import rules
from adapters.drivers.storage.driver import Download, Versions, driver_of, raising
from adapters.errors import AdapterError, Invalid
from adapters.ports import Body, Capability, Object, ObjectInfo, ObjectStorage, Page, StorageClass, Version


class Prefixed:
    """The same promises over the keys that begin with `prefix`; no key given to it reaches any other."""

    def __init__(self, storage: ObjectStorage, prefix: str) -> None:
        if not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix:
            raise Invalid("a prefix is one or more folders, each ending in `/`", name=prefix, cure="such as `team/`")
        rules.check_key(prefix)
        self._storage = driver_of(storage)
        self._prefix = prefix

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._storage.capabilities

    def get(self, key: str) -> Object:
        return self._object(self._storage.get(self._full(key)))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._storage.get_range(self._full(key), start, length)

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        return self._storage.stream(self._full(key), chunk_bytes=chunk_bytes)

    def open_stream(self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None) -> Download:
        return self._storage.open_stream(self._full(key), chunk_bytes=chunk_bytes, start=start, if_version=if_version)

    def head(self, key: str) -> ObjectInfo:
        return self._info(self._storage.head(self._full(key)))

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        info, writer = self._storage.written_by(self._full(key))
        return self._info(info), writer

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        page = self._storage.list(self._prefix + prefix, delimiter=delimiter, cursor=cursor, limit=limit)
        cut = len(self._prefix)
        return Page(
            tuple(self._info(info) for info in page.objects),
            tuple(folder[cut:] for folder in page.folders),
            page.cursor,
        )

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        return raising(self.get_each(keys))

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        for answer in self._storage.get_each(self._full(key) for key in keys):
            yield self._object(answer) if isinstance(answer, Object) else answer

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
        return self._storage.put(
            self._full(key),
            body,
            if_version=if_version,
            content_type=content_type,
            metadata=metadata,
            storage_class=storage_class,
        )

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
        return self._storage.put_stream(
            self._full(key),
            chunks,
            if_version=if_version,
            content_type=content_type,
            metadata=metadata,
            storage_class=storage_class,
        )

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        self._storage.delete(self._full(key), if_version=if_version)

    def copy(self, source: str, target: str) -> Version:
        return self._storage.copy(self._full(source), self._full(target))

    def put_many(self, items: Iterable[tuple[str, Body]]) -> Versions:
        return self._storage.put_many((self._full(key), body) for key, body in items)

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        return self._storage.put_each((self._full(key), body) for key, body in items)

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        return self._storage.presign(self._full(key), verb=verb, expires_seconds=expires_seconds)

    def tags(self, key: str) -> dict[str, str]:
        return self._storage.tags(self._full(key))

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._storage.set_tags(self._full(key), tags)

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        self._storage.set_storage_class(self._full(key), storage_class)

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        return self._storage.sweep_uploads(older_than_seconds=older_than_seconds, prefix=self._prefix + prefix)

    def close(self) -> None:
        """Close the storage beneath, where that can be closed."""
        close = getattr(self._storage, "close", None)
        if close is not None:
            close()

    def _full(self, key: str) -> str:
        # The key by itself too: behind a prefix an empty one would pass for a key.
        return self._prefix + rules.check_key(key)

    def _object(self, stored: Object) -> Object:
        return Object(stored.body, self._info(stored.info))

    def _info(self, info: ObjectInfo) -> ObjectInfo:
        key = info.key.removeprefix(self._prefix)
        return ObjectInfo(
            key, info.size_bytes, info.version, info.modified, info.storage_class, info.content_type, info.metadata
        )
