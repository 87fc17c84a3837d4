"""Many small objects at once, through obstore: its requests run outside the interpreter lock, a thread for each.

One object at a time the vendor's SDK spends a millisecond of Python on each request. This spends a tenth of that, and
keeps a bounded number of requests under way while the caller works on the answers.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from adapters import missing
from adapters.drivers.storage import rules
from adapters.errors import AdapterError, Conflict, Denied, NotFound, Transient
from adapters.ports import Body, Object, ObjectInfo, ObjectStorage, Version

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

    from adapters.settings import StorageSettings

try:
    import obstore
    from obstore import exceptions
except ImportError as error:
    raise missing("obstore", extra="runtime") from error

K = TypeVar("K")
V = TypeVar("V")

AHEAD: Final = 32
"""Requests under way, at most."""
BYTES_AHEAD: Final = 256 << 20
"""What they may hold together, as far as the sizes seen so far tell; two are always under way."""
CONTENT_TYPE: Final = "application/octet-stream"
HEADERS: Final = frozenset(
    {"Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Storage-Class"}
)
"""What obstore puts beside an object's metadata."""
_STATUS = re.compile(r"status code: (\d{3})")


def bulk_client(settings: StorageSettings, connect_seconds: float) -> ClientConfig:
    """How obstore's HTTP client reaches the settings' endpoint."""
    options: ClientConfig = {
        "allow_http": settings.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(connect_seconds, settings.timeout_seconds)),
        "timeout": timedelta(seconds=settings.timeout_seconds),
    }
    if settings.ca_file:
        options["root_certificate"] = Path(settings.ca_file).read_bytes()
    return options


class Bulk:
    """Objects of one bucket through `store`; the answer to an item that fails is its error.

    `single` does what obstore cannot: keys that it would change, and all writes where it `writes` none. `version_of`
    picks the port's version from what the store answered, `meanings` are the errors behind its statuses.
    """

    def __init__(
        self,
        store: ObjectStore,
        single: ObjectStorage,
        *,
        version_of: Callable[[Any], str | None],
        meanings: Mapping[int, type[AdapterError]],
        writes: bool = True,
    ) -> None:
        self._store, self._single, self._writes = store, single, writes
        self._version_of, self._meanings = version_of, meanings
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        """As `StorageDriver.get_each`. The objects do not tell their storage class: obstore leaves it out."""

        def size_of(_: str, answer: Object | AdapterError) -> int:
            return len(answer.body) if isinstance(answer, Object) else 0

        return self._each(self._one_read, keys, size_of)

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        """As `StorageDriver.put_each`."""

        def size_of(item: tuple[str, Body], _: Version | AdapterError) -> int:
            return len(item[1])

        return self._each(self._one_written, items, size_of)

    def _each(self, work: Callable[[K], V], items: Iterable[K], size_of: Callable[[K, V], int]) -> Iterator[V]:
        pool = self._started()
        items = iter(items)
        under_way: deque[tuple[K, Future[V]]] = deque()
        ahead = AHEAD
        try:
            while True:
                under_way.extend((item, pool.submit(work, item)) for item in islice(items, ahead - len(under_way)))
                if not under_way:
                    return
                item, future = under_way.popleft()
                answer = future.result()
                ahead = max(2, min(AHEAD, BYTES_AHEAD // max(1, size_of(item, answer))))
                yield answer
                del item, future, answer  # or a body that the caller is done with would be kept
        finally:
            for _, future in under_way:
                future.cancel()

    def _one_read(self, key: str) -> Object | AdapterError:
        try:
            return self.get(rules.check_key(key)) if _simple(key) else self._single.get(key)
        except AdapterError as error:
            return error

    def _one_written(self, item: tuple[str, Body]) -> Version | AdapterError:
        key, body = item
        try:
            if self._writes and _simple(rules.check_key(key)):
                return self.put(key, rules.solid(body))
            return self._single.put(key, body)
        except AdapterError as error:
            return error

    def get(self, key: str) -> Object:
        """One object, body and version from one answer."""
        try:
            answer = obstore.get(self._store, key)
            body = bytes(answer.bytes())
        except (exceptions.BaseError, FileNotFoundError, PermissionError) as error:
            raise self._translated(error, key) from error
        meta: Any = answer.meta
        known = {str(name): str(value) for name, value in answer.attributes.items()}
        return Object(
            body,
            ObjectInfo(
                key,
                len(body),
                Version(self._version_of(meta) or ""),
                meta["last_modified"],
                content_type=known.pop("Content-Type", ""),
                metadata=rules.visible({name: value for name, value in known.items() if name not in HEADERS}),
            ),
        )

    def put(self, key: str, body: Body) -> Version:
        """Store one object in one request."""
        try:
            answer = obstore.put(self._store, key, body, attributes={"Content-Type": CONTENT_TYPE}, use_multipart=False)
        except (exceptions.BaseError, FileNotFoundError, PermissionError) as error:
            raise self._translated(error, key) from error
        return Version(self._version_of(answer) or "")

    def close(self) -> None:
        """End the threads once their requests are answered."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="isthmus-bulk")
            return self._pool

    def _translated(self, error: BaseException, key: str) -> AdapterError:
        if isinstance(error, FileNotFoundError):
            return NotFound("no such object", name=key)
        if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError)):
            return Denied("not allowed with these credentials", name=key)
        if isinstance(error, exceptions.PreconditionError):
            return Conflict("not the stored version", name=key)
        # "Generic S3 error: Error performing GET http://... in 1.2ms - Server returned non-2xx status code: 502 ...".
        text = str(error).partition("\n")[0].partition(" - ")[2] or type(error).__name__
        status = _STATUS.search(text)
        return (self._meanings.get(int(status[1]), Transient) if status else Transient)(text, name=key)


def _simple(key: str) -> bool:
    """Whether obstore sends this key as it is: it takes keys for paths, and folds empty segments."""
    return key[:1] != "/" and key[-1:] != "/" and "//" not in key
