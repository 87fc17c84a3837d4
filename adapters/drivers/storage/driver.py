"""What a storage driver offers besides the port, for the wrappers `adapters.retry` and `adapters.prefix` alone.

Retrying a whole operation needs to know more than its caller does: which version a stream broke off in, who wrote what
is stored now, and which item of many failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from adapters.errors import AdapterError, Invalid, Transient
from adapters.ports import Body, Object, ObjectInfo, ObjectStorage, Version

T = TypeVar("T")

WRAPPABLE = ("open_stream", "written_by", "get_each", "put_each")
Versions: TypeAlias = list[Version]
"""Named here because inside a class that has a method `list`, the type's name means that method."""


class Refused(Transient):
    """The server itself answered that it did not do it, so a repeated write cannot meet its own first attempt."""


class Download(Protocol):
    """A body being read: its version, and its bytes from where it was opened."""

    @property
    def version(self) -> Version:
        """The version all chunks are of."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """The chunks. Raises Conflict when the version is gone, Transient when the connection is."""
        ...

    def close(self) -> None:
        """Free the connection, whether or not all was read."""
        ...


@runtime_checkable
class StorageDriver(ObjectStorage, Protocol):
    """Object storage with the means to be retried and prefixed."""

    def open_stream(self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None) -> Download:
        """Begin to read at `start`; with `if_version`, Conflict unless that is what is stored."""
        ...

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        """What is stored now and the nonce of the conditional write that stored it, empty when there was none."""
        ...

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        """As `get_many`, with errors as values: one answer per key, in order."""
        ...

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        """As `put_many`, with errors as values: one answer per item, in order, `items` drawn a bounded number ahead."""
        ...

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        """As the port's, among keys that begin with `prefix`."""
        ...


def driver_of(storage: ObjectStorage) -> StorageDriver:
    """`storage` with what wrappers need of it. Raises Invalid for one that keeps the port's promises and no more."""
    if isinstance(storage, StorageDriver):
        return storage
    lacking = sorted(name for name in WRAPPABLE if not hasattr(storage, name))
    raise Invalid(
        f"it cannot be wrapped without {', '.join(lacking)}", name=type(storage).__name__, cure=f"see {__name__}"
    )


def raising(answers: Iterator[T | AdapterError]) -> Iterator[T]:
    """The answers, raising the first error among them."""
    for answer in answers:
        if isinstance(answer, AdapterError):
            raise answer
        yield answer
