"""Object stores that count, refuse or lose what they are asked, around a real one. Everything else passes through."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from adapters.errors import Transient
from adapters.ports import Body, Object, ObjectStorage, Version


class Around:
    """Passes every call through to `inner`."""

    def __init__(self, inner: ObjectStorage) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def port(self) -> ObjectStorage:
        """This, as the port it keeps."""
        return cast(ObjectStorage, self)


class Counting(Around):
    """Counts requests by verb: `get` counts each object of a `get_many` too."""

    def __init__(self, inner: ObjectStorage) -> None:
        super().__init__(inner)
        self.calls: collections.Counter[str] = collections.Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return super().__getattr__(name)

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        wanted = list(keys)
        self.calls["get"] += len(wanted)
        return self.inner.get_many(wanted)


class OneWriteASecond(Around):
    """Holds each object to one write a second, as GCS does, and remembers which objects were written more than once."""

    def __init__(self, inner: ObjectStorage) -> None:
        super().__init__(inner)
        self.rewritten: list[str] = []
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def put(self, key: str, body: Body, **options: Any) -> Version:
        return self._write(key, lambda: self.inner.put(key, body, **options))

    def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
        return self._write(key, lambda: self.inner.put_stream(key, chunks, **options))

    def copy(self, source: str, target: str) -> Version:
        return self._write(target, lambda: self.inner.copy(source, target))

    def _write(self, key: str, write: Callable[[], Version]) -> Version:
        with self._lock:
            if time.monotonic() - self._written.get(key, float("-inf")) < 1.0:
                raise Transient("429 rateLimitExceeded: too many writes to this object", name=key)
        version = write()
        with self._lock:
            if key in self._written:
                self.rewritten.append(key)
            self._written[key] = time.monotonic()
        return version


class LosingAnswers(Around):
    """Raises Transient in place of the answer to the writes that `lose` names: after they took effect, or before."""

    def __init__(self, inner: ObjectStorage, *, lose: Callable[[str], bool], applied: bool) -> None:
        super().__init__(inner)
        self.lost: list[str] = []
        self._lose, self._applied = lose, applied

    def put(self, key: str, body: Body, **options: Any) -> Version:
        return self._write(key, lambda: self.inner.put(key, body, **options))

    def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
        return self._write(key, lambda: self.inner.put_stream(key, chunks, **options))

    def _write(self, key: str, write: Callable[[], Version]) -> Version:
        lose = self._lose(key)
        if not lose:
            return write()
        self.lost.append(key)
        if self._applied:
            write()
        raise Transient("the connection was reset", name=key)
