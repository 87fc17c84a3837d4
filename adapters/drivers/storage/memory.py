"""Object storage in this process: every promise of the port kept, nothing kept past the process."""

from __future__ import annotations

import base64
import itertools
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from adapters.drivers.storage import rules
from adapters.drivers.storage.driver import Versions, raising
from adapters.errors import AdapterError, Conflict, Invalid, NotFound
from adapters.ports import ABSENT, Body, Capability, Object, ObjectInfo, Page, StorageClass, Version

if TYPE_CHECKING:
    from adapters.settings import StorageSettings


def open(settings: StorageSettings) -> MemoryStorage:
    """A new, empty store; the settings name nothing that it needs."""
    return MemoryStorage()


@dataclass(frozen=True, slots=True)
class _Stored:
    body: bytes
    info: ObjectInfo
    writer: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class MemoryStorage:
    """Thread-safe: one lock over a dictionary and its sorted keys, held for no longer than a lookup or an insertion."""

    capabilities = frozenset({Capability.TAGS, Capability.STORAGE_CLASS, Capability.CONDITIONAL_DELETE})

    def __init__(self) -> None:
        self._objects: dict[str, _Stored] = {}
        self._order: list[bytes] = []
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    def get(self, key: str) -> Object:
        stored = self._stored(key)
        return Object(stored.body, stored.info)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        rules.check_range(key, start, length)
        return self._stored(key).body[start : start + length]

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        yield from self.open_stream(key, chunk_bytes=chunk_bytes)

    def head(self, key: str) -> ObjectInfo:
        return self._stored(key).info

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        rules.check_limit(limit)
        wanted = rules.check_prefix(prefix).encode()
        with self._lock:
            at = bisect_left(self._order, wanted if cursor is None else _decoded(cursor))
            return self._page(wanted, delimiter.encode(), at, limit)

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        return raising(self.get_each(keys))

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        for key in keys:
            try:
                answer: Object | AdapterError = self.get(key)
            except AdapterError as error:
                answer = error
            yield answer

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
        kept = rules.check_metadata(rules.check_key(key), metadata)
        content = bytes(rules.solid(body))
        info = ObjectInfo(
            key, len(content), ABSENT, _EPOCH, StorageClass(storage_class), content_type, rules.visible(kept)
        )
        with self._lock:
            self._expect(key, if_version)
            return self._keep(_Stored(content, info, kept.get(rules.WRITER, "")))

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
        rules.check_metadata(rules.check_key(key), metadata)
        return self.put(
            key,
            b"".join(rules.solid(chunk) for chunk in chunks),
            if_version=if_version,
            content_type=content_type,
            metadata=metadata,
            storage_class=storage_class,
        )

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        rules.check_key(key)
        if if_version is not None:
            rules.check_stored_version(key, if_version)
        with self._lock:
            self._expect(key, if_version)
            if self._objects.pop(key, None) is not None:
                del self._order[bisect_left(self._order, key.encode())]

    def copy(self, source: str, target: str) -> Version:
        rules.check_key(target)
        with self._lock:
            stored = self._look_up(rules.check_key(source))
            return self._keep(replace(stored, info=replace(stored.info, key=target), writer=""))

    def put_many(self, items: Iterable[tuple[str, Body]]) -> Versions:
        return [*raising(self.put_each(items))]

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        for key, body in items:
            try:
                answer: Version | AdapterError = self.put(key, body)
            except AdapterError as error:
                answer = error
            yield answer

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> NoReturn:
        raise rules.unsupported(Capability.PRESIGN, "memory", "there is no server behind a URL")

    def tags(self, key: str) -> dict[str, str]:
        return dict(self._stored(key).tags)

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        kept = rules.check_tags(key, tags)
        with self._lock:
            self._objects[key] = replace(self._look_up(rules.check_key(key)), tags=kept)

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        with self._lock:
            stored = self._look_up(rules.check_key(key))
            info = replace(stored.info, storage_class=StorageClass(storage_class))
            self._objects[key] = replace(stored, info=info)

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        return 0  # a streamed body becomes an object in one step, so there are never parts

    def open_stream(
        self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None
    ) -> _Download:
        rules.check_chunk(key, chunk_bytes)
        stored = self._stored(key)
        if if_version is not None and stored.info.version != if_version:
            raise Conflict("overwritten while it was read", name=key, cure="read it again from the start")
        return _Download(stored.body, stored.info.version, start, chunk_bytes)

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        stored = self._stored(key)
        return stored.info, stored.writer

    def _stored(self, key: str) -> _Stored:
        rules.check_key(key)
        with self._lock:
            return self._look_up(key)

    def _look_up(self, key: str) -> _Stored:
        try:
            return self._objects[key]
        except KeyError:
            raise NotFound("no such object", name=key) from None

    def _expect(self, key: str, if_version: Version | None) -> None:
        if if_version is None:
            return
        stored = self._objects.get(key)
        if (stored.info.version if stored else ABSENT) != if_version:
            raise Conflict("not the stored version", name=key, cure="read it again and decide anew")

    def _keep(self, stored: _Stored) -> Version:
        version = Version(str(next(self._versions)))
        key = stored.info.key
        if key not in self._objects:
            insort(self._order, key.encode())
        self._objects[key] = replace(stored, info=replace(stored.info, version=version, modified=datetime.now(UTC)))
        return version

    def _page(self, prefix: bytes, delimiter: bytes, at: int, limit: int) -> Page:
        objects: list[ObjectInfo] = []
        folders: list[str] = []
        after = prefix
        while at < len(self._order) and (key := self._order[at]).startswith(prefix):
            if len(objects) + len(folders) == limit:
                return Page(tuple(objects), tuple(folders), _encoded(after))
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                objects.append(_listed(self._objects[key.decode()].info))
                after, at = key + b"\0", at + 1
            else:
                folder = key[: cut + len(delimiter)]
                folders.append(folder.decode())
                after = folder[:-1] + bytes([folder[-1] + 1])  # UTF-8 has no byte 0xff, so this is past all in it
                at = bisect_left(self._order, after, at)
        return Page(tuple(objects), tuple(folders))


class _Download:
    def __init__(self, body: bytes, version: Version, start: int, chunk_bytes: int) -> None:
        self.version = version
        self._body, self._start, self._chunk_bytes = body, start, chunk_bytes

    def __iter__(self) -> Iterator[bytes]:
        for at in range(self._start, len(self._body), self._chunk_bytes):
            yield self._body[at : at + self._chunk_bytes]

    def close(self) -> None: ...


_EPOCH = datetime.fromtimestamp(0, UTC)


def _listed(info: ObjectInfo) -> ObjectInfo:
    return ObjectInfo(info.key, info.size_bytes, info.version, info.modified, info.storage_class)


def _encoded(after: bytes) -> str:
    return base64.urlsafe_b64encode(after).decode()


def _decoded(cursor: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(cursor)
    except ValueError as error:
        raise Invalid("this cursor is not of this store", name="list", cure="start again without a cursor") from error
