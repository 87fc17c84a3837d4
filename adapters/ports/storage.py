"""Object storage."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Protocol, TypeAlias, runtime_checkable

Body: TypeAlias = bytes | bytearray | memoryview

Version = NewType("Version", str)
"""Opaque: an ETag on S3, a generation on GCS. Compare for equality only; it is good for one key of one store."""

ABSENT = Version("")
"""As `if_version`: write only if no object has this key."""


class StorageClass(enum.StrEnum):
    """Tiers by intent; each cloud's driver says which of its classes that is."""

    HOT = "hot"
    """Read often, milliseconds, dearest to keep (S3 STANDARD, GCS STANDARD)."""
    WARM = "warm"
    """Read now and then, milliseconds, a fee per read (STANDARD_IA, NEARLINE)."""
    COLD = "cold"
    """Read hardly ever, milliseconds, a dear fee per read (GLACIER_IR, COLDLINE)."""


class Capability(enum.StrEnum):
    """What a driver may lack. Absent here means the method raises `Unsupported`, at once and always."""

    PRESIGN = "presign"
    TAGS = "tags"
    STORAGE_CLASS = "storage_class"
    CONDITIONAL_DELETE = "conditional_delete"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without its body. `list` fills key, size, version, modified and class only."""

    key: str
    size_bytes: int
    version: Version
    modified: datetime
    storage_class: StorageClass = StorageClass.HOT
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Object:
    """A body and the exact version it is of, from one answer of the server."""

    body: bytes
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in the keys' UTF-8 order. `cursor` is None on the last page; otherwise pass it back."""

    objects: tuple[ObjectInfo, ...]
    folders: tuple[str, ...] = ()
    cursor: str | None = None


@runtime_checkable
class ObjectReader(Protocol):
    """Read-only object storage. A read that begins after a write was acknowledged sees it or a later one."""

    def get(self, key: str) -> Object:
        """The whole object and its version. Raises NotFound, Denied or Transient."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes `[start, start + length)`; fewer where the object ends, none when `start` is its size or beyond.

        Raises NotFound, or Invalid when `start` or `length` is negative.
        """
        ...

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        """The body in chunks of at most `chunk_bytes`, holding no more than one in memory.

        All chunks are of one version: an overwrite in the middle raises Conflict rather than mix two. Raises NotFound
        before the first chunk.
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Everything but the body. Raises NotFound."""
        ...

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        """Up to `limit` (1 to 1000) objects whose keys begin with `prefix`.

        With a `delimiter`, keys holding it after the prefix are folded into `folders` (each once, ending in it).
        """
        ...

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        """Each object in the order asked, fetched in parallel, a bounded number ahead. Raises NotFound at a missing one."""
        ...


@runtime_checkable
class ObjectStorage(ObjectReader, Protocol):
    """Object storage that can be written. Keys are 1 to 1024 bytes of UTF-8 without control characters or `.` and `..` segments."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this store can do beyond the common ground."""
        ...

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
        """Store `body` under `key`, all or nothing: readers see the old object or the new one, never a part.

        `if_version` makes it a compare-and-swap: it is written only if that is the stored version (`ABSENT`: only if
        there is none), and of several writers that name one version exactly one wins. Metadata keys are lower-case
        ASCII, values printable ASCII and not empty, 2 KB together.
        Raises Conflict, Denied, Invalid or Transient (then it may or may not be stored).
        """
        ...

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
        """As `put`, for a body of unknown size: uploaded in parts, visible only once complete.

        When `chunks` raises, nothing becomes visible, the parts are removed, and the error passes through.
        """
        ...

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        """Remove the object; an absent key is no error. With `if_version`, Conflict unless that is what is stored."""
        ...

    def copy(self, source: str, target: str) -> Version:
        """Copy inside the store, body, content type and metadata, without passing through this process. Raises NotFound."""
        ...

    def put_many(self, items: Iterable[tuple[str, Body]]) -> list[Version]:
        """Store each item in parallel; versions in the order given. Not atomic over the items: on an error some are stored."""
        ...

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        """A URL by which anyone may GET or PUT this key until it expires. Needs `Capability.PRESIGN`."""
        ...

    def tags(self, key: str) -> dict[str, str]:
        """The object's tags. Needs `Capability.TAGS`. Raises NotFound."""
        ...

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace all tags (at most 10); body and version stay as they are. Needs `Capability.TAGS`. Raises NotFound."""
        ...

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        """Move the object to another tier; body and metadata stay. Needs `Capability.STORAGE_CLASS`. Raises NotFound."""
        ...

    def sweep_uploads(self, *, older_than_seconds: float) -> int:
        """Remove parts of uploads that were never completed and are older; how many uploads. Visible objects stay."""
        ...
