"""Object storage whose whole operations are repeated after a passing fault, within a deadline and a budget.

    storage = Retrying(s3.open(settings), deadline_seconds=60.0)

Drivers classify, this repeats, and only Transient. A conditional write that was repeated may meet its own first attempt,
whose answer was lost: it leaves a nonce with the object, and reads it back before it takes a Conflict for a lost race.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Final, TypeVar

from adapters.drivers.storage.deadline import bounded
from adapters.drivers.storage.driver import Download, Refused, StorageDriver, Versions, driver_of, raising
from adapters.drivers.storage.rules import WRITER
from adapters.errors import AdapterError, Conflict, NotFound, Transient
from adapters.ports import Body, Capability, Object, ObjectInfo, ObjectStorage, Page, StorageClass, Version

T = TypeVar("T")
K = TypeVar("K")

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
STREAM_ATTEMPTS: Final = 3
"""For a streamed body that can be replayed: the deadline counts per part, so it cannot bound the whole."""


class Unsettled(Transient):
    """Nobody can tell any more whether a write was stored: its answer was lost, and another write came after it."""


class Budget:
    """How many repetitions are left: a tenth of the operations, one every five seconds, and never more than ten.

    When a server is down every operation fails, and repeating each of them would be the load that keeps it down. With this
    the load stays under 1.2 times the operations, from a hundred of them on, however many fail.
    """

    PER_OPERATION: Final = 0.1
    PER_SECOND: Final = 0.2
    MOST: Final = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._left, self._counted = self.MOST, clock()

    def earn(self) -> None:
        """An operation begins."""
        # Without the lock, which every operation would pay for: threads that meet here may lose a tenth or keep a one.
        left = self._left + self.PER_OPERATION
        self._left = left if left < self.MOST else self.MOST

    def spend(self) -> bool:
        """Whether one repetition may be made."""
        with self._lock:
            now = self._clock()
            self._left = min(self.MOST, self._left + (now - self._counted) * self.PER_SECOND)
            self._counted = now
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class Retrying:
    """The same promises as the storage beneath, kept through passing faults.

    `deadline_seconds` is over one whole operation; a streamed or bulk one counts it anew for each chunk or object. What
    is raised at its end is the last Transient.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        *,
        deadline_seconds: float,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage: StorageDriver = driver_of(storage)
        self._deadline_seconds = deadline_seconds
        self._budget = budget or Budget(clock)
        self._clock, self._sleep = clock, sleep

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._storage.capabilities

    def get(self, key: str) -> Object:
        return self._persist(lambda: self._storage.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._persist(lambda: self._storage.get_range(key, start, length))

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        with contextlib.closing(self.open_stream(key, chunk_bytes=chunk_bytes)) as download:
            yield from download

    def open_stream(
        self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None
    ) -> _Resuming:
        return _Resuming(self._storage, self._persist, key, chunk_bytes, start, if_version)

    def head(self, key: str) -> ObjectInfo:
        return self._persist(lambda: self._storage.head(key))

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        return self._persist(lambda: self._storage.written_by(key))

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        return self._persist(lambda: self._storage.list(prefix, delimiter=delimiter, cursor=cursor, limit=limit))

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        return raising(self.get_each(keys))

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        return self._each(self._storage.get_each, self._storage.get, keys)

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
        write = partial(self._storage.put, key, body, content_type=content_type, storage_class=storage_class)
        if if_version is None:
            return self._persist(partial(write, metadata=metadata))
        swap = _Swap(self._storage, key)
        swapping = partial(write, if_version=if_version, metadata=swap.signed(metadata))
        return self._persist(lambda: swap.attempt(swapping))

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
        swap = _Swap(self._storage, key)
        write = partial(
            self._storage.put_stream,
            key,
            chunks,
            if_version=if_version,
            content_type=content_type,
            metadata=swap.signed(metadata),
            storage_class=storage_class,
        )
        attempts = STREAM_ATTEMPTS if isinstance(chunks, Sequence) else 1  # an iterator's chunks are gone once sent
        try:
            return self._persist(lambda: swap.attempt(write), attempts=attempts)
        except Transient:
            if (version := swap.stored()) is not None:
                return version
            raise

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        if if_version is None:
            return self._persist(partial(self._storage.delete, key))
        swap = _Swap(self._storage, key)
        return self._persist(lambda: swap.attempt(partial(self._storage.delete, key, if_version=if_version)))

    def copy(self, source: str, target: str) -> Version:
        return self._persist(lambda: self._storage.copy(source, target))

    def put_many(self, items: Iterable[tuple[str, Body]]) -> Versions:
        return [*raising(self.put_each(items))]

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        return self._each(self._storage.put_each, lambda item: self._storage.put(*item), items)

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        return self._persist(lambda: self._storage.presign(key, verb=verb, expires_seconds=expires_seconds))

    def tags(self, key: str) -> dict[str, str]:
        return self._persist(lambda: self._storage.tags(key))

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._persist(lambda: self._storage.set_tags(key, tags))

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        self._persist(lambda: self._storage.set_storage_class(key, storage_class))

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        return self._persist(lambda: self._storage.sweep_uploads(older_than_seconds=older_than_seconds, prefix=prefix))

    def close(self) -> None:
        """Close the storage beneath, where that can be closed."""
        close = getattr(self._storage, "close", None)
        if close is not None:
            close()

    def _each(
        self,
        many: Callable[[Iterable[K]], Iterator[T | AdapterError]],
        one: Callable[[K], T],
        items: Iterable[K],
    ) -> Iterator[T | AdapterError]:
        """Answers of `many`, with `one` repeated for each item that met a passing fault."""
        asked: deque[K] = deque()

        def noted() -> Iterator[K]:
            for item in items:
                asked.append(item)
                yield item

        for answer in many(noted()):
            item = asked.popleft()
            yield self._mended(item, one, answer) if isinstance(answer, Transient) else answer
            del item, answer  # or the next answer would be waited for with two bodies in memory

    def _mended(self, item: K, one: Callable[[K], T], failed: Transient) -> T | AdapterError:
        try:
            return self._persist(lambda: one(item), failed=failed)
        except AdapterError as error:
            return error

    def _persist(
        self, operation: Callable[[], T], *, attempts: int | None = None, failed: Transient | None = None
    ) -> T:
        """The operation's answer, asked for again after each passing fault while time and budget allow.

        With `attempts` that many are allowed instead of a time. `failed` is the fault of one made before this call.
        """
        self._budget.earn()
        started = self._clock()
        for attempt in count(1):
            error, failed = failed, None
            if error is None:
                try:
                    if attempts is not None:
                        return operation()
                    with bounded(started + self._deadline_seconds):
                        return operation()
                except Unsettled:
                    raise
                except Transient as fault:
                    error = fault
            self._pause(error, attempt, attempts, started)
        raise AssertionError("count() has no end")

    def _pause(self, error: Transient, attempt: int, attempts: int | None, started: float) -> None:
        """Wait before the next attempt, or raise `error` when there shall be none."""
        pause = random.uniform(0.0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)))
        spent = self._clock() - started
        over = attempt == attempts if attempts is not None else spent + pause >= self._deadline_seconds
        if over or not self._budget.spend():
            if attempt == 1:
                raise error
            raise Transient(f"{error.what} (attempt {attempt}, after {spent:.1f} s)", name=error.name) from error
        self._sleep(pause)


class _Swap:
    """One conditional change through all its attempts: after an answer was lost, a Conflict may be with ourselves."""

    __slots__ = ("_key", "_lost", "_nonce", "_storage")

    def __init__(self, storage: StorageDriver, key: str) -> None:
        self._storage, self._key = storage, key
        self._nonce = secrets.token_hex(8)
        self._lost = False

    def signed(self, metadata: Mapping[str, str] | None) -> dict[str, str]:
        """The metadata with our nonce."""
        return {**(metadata or {}), WRITER: self._nonce}

    def attempt(self, change: Callable[[], T]) -> T:
        """One attempt. Raises Unsettled where it cannot be told whether an earlier one was stored."""
        try:
            return change()
        except Transient as error:
            self._lost = self._lost or not isinstance(error, Refused)
            raise
        except Conflict as conflict:
            if not self._lost:
                raise
            version = self.stored()
            if version is None:
                raise Unsettled(
                    "an answer was lost and the object has changed since: whether this took effect is not known",
                    name=self._key,
                    cure="read it again and decide anew",
                ) from conflict
            return version  # type: ignore[return-value]  # only a put leaves a nonce to be found

    def stored(self) -> Version | None:
        """The stored version, if it is ours."""
        if not self._lost:
            return None
        try:
            info, writer = self._storage.written_by(self._key)
        except NotFound:
            return None
        return info.version if writer == self._nonce else None


class _Resuming:
    """A download that goes on where it broke off, in the same version."""

    def __init__(
        self,
        storage: StorageDriver,
        persist: Callable[[Callable[[], bytes | None]], bytes | None],
        key: str,
        chunk_bytes: int,
        start: int,
        if_version: Version | None,
    ) -> None:
        self._storage, self._persist = storage, persist
        self._key, self._chunk_bytes, self._at, self._version = key, chunk_bytes, start, if_version
        self._download: Download | None = None
        self._chunks: Iterator[bytes] = iter(())

    @property
    def version(self) -> Version:
        if self._version is None:
            self._persist(self._opened)
        return self._version or Version("")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = self._persist(self._piece)
        if chunk is None:
            raise StopIteration
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        if self._download is not None:
            self._download.close()

    def _opened(self) -> None:
        if self._download is None:
            self._download = self._storage.open_stream(
                self._key, chunk_bytes=self._chunk_bytes, start=self._at, if_version=self._version
            )
            self._version = self._download.version
            self._chunks = iter(self._download)

    def _piece(self) -> bytes | None:
        self._opened()
        try:
            return next(self._chunks, None)
        except Transient:
            self.close()
            self._download = None
            raise
