"""A key-value store in this process, for tests and notebooks. It keeps the promises of Redis, time included.

    store = MemoryKeyValue(clock=lambda: now)    # seconds that only grow; the default is the machine's own

Scripts run their Python twin: `python(read, write, keys, args)` with `args` as bytes. `write(key, value)` drops an
earlier TTL as Redis' SET does, `write(key, value, ttl_ms)` sets one, and `write(key, None)` deletes. A twin may touch
only `keys`.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adapters.drivers.key_value import inputs
from adapters.errors import AdapterError, Invalid
from adapters.ports import Script
from adapters.settings import KeyValueSettings

# What Redis takes for an integer: no plus sign, no leading zero, no space.
INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def open(section: KeyValueSettings) -> MemoryKeyValue:
    """An empty store of its own; of the settings none applies."""
    return MemoryKeyValue()


class _Entry(NamedTuple):
    value: bytes
    expires: float | None


class MemoryKeyValue:
    """A dictionary under a lock. Expired entries are gone for every reader at once and freed by the next writer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._expiries: list[tuple[float, str]] = []

    def get(self, key: str) -> bytes | None:
        return self.get_many([key])[0]

    def set(self, key: str, value: bytes, *, ttl_seconds: float | None = None) -> None:
        self.set_many({key: value}, ttl_seconds=ttl_seconds)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        _checked(keys)
        with self._lock:
            return [self._read(key) for key in keys]

    def set_many(self, items: Mapping[str, bytes], *, ttl_seconds: float | None = None) -> None:
        _checked(items)
        values = {key: inputs.value_bytes(key, value) for key, value in items.items()}
        ttl_ms = inputs.milliseconds(ttl_seconds)
        with self._lock:
            for key, value in values.items():
                self._write(key, value, ttl_ms)

    def delete(self, keys: Sequence[str]) -> int:
        _checked(keys)
        with self._lock:
            found = [key for key in inputs.distinct(keys) if self._read(key) is not None]
            for key in found:
                del self._entries[key]
            return len(found)

    def compare_and_set(
        self, key: str, *, expected: bytes | None, value: bytes | None, ttl_seconds: float | None = None
    ) -> bool:
        _checked([key])
        wanted = None if expected is None else inputs.value_bytes(key, expected)
        new = None if value is None else inputs.value_bytes(key, value)
        ttl_ms = inputs.milliseconds(ttl_seconds)
        with self._lock:
            if self._read(key) != wanted:
                return False
            self._write(key, new, ttl_ms)
            return True

    def increment(self, key: str, by: int = 1, *, ttl_seconds: float | None = None) -> int:
        _checked([key])
        inputs.integer(by)
        ttl_ms = inputs.milliseconds(ttl_seconds)
        with self._lock:
            current = self._read(key)
            total = _integer(key, b"0" if current is None else current) + by
            if not inputs.INTEGER_MIN <= total <= inputs.INTEGER_MAX:
                raise Invalid("the sum would not fit into a signed 64-bit integer", name=key)
            if current is None:
                self._write(key, b"%d" % total, ttl_ms)
            else:
                self._entries[key] = self._entries[key]._replace(value=b"%d" % total)
            return total

    def run(self, script: Script, *, keys: Sequence[str], args: Sequence[bytes | int | str] = ()) -> Any:
        _checked(keys)
        inputs.same_slot(script.name, keys)
        with self._lock:
            return _run_twin(script, _Access(keys, self._read, self._write), [inputs.argument(arg) for arg in args])

    def scan(self, prefix: str) -> Iterator[str]:
        with self._lock:
            found = [key for key in self._entries if key.startswith(prefix) and self._read(key) is not None]
        return iter(found)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._expiries.clear()

    def _read(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None or (entry.expires is not None and entry.expires <= self._clock()):
            return None
        return entry.value

    def _write(self, key: str, value: bytes | None, ttl_ms: int | None = None) -> None:
        now = self._clock()
        self._free(now)
        if value is None:
            self._entries.pop(key, None)
            return
        expires = None if ttl_ms is None else now + ttl_ms / 1000
        self._entries[key] = _Entry(value, expires)
        if expires is not None:
            heapq.heappush(self._expiries, (expires, key))

    def _free(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            expires, key = heapq.heappop(self._expiries)
            entry = self._entries.get(key)
            if entry is not None and entry.expires == expires:
                del self._entries[key]


class _Access:
    """What a twin may read and write: the keys it was given, as on a cluster."""

    def __init__(self, keys: Sequence[str], read: Callable[[str], bytes | None], write: Callable[..., None]) -> None:
        self.keys = keys
        self._read = read
        self._write = write

    def read(self, key: str) -> bytes | None:
        return self._read(self._known(key))

    def write(self, key: str, value: bytes | None, ttl_ms: int | None = None) -> None:
        self._write(self._known(key), None if value is None else inputs.value_bytes(key, value), ttl_ms)

    def _known(self, key: str) -> str:
        if key in self.keys:
            return key
        raise Invalid("the script touches a key that it was not given", name=key, cure="pass it in keys")


def _run_twin(script: Script, access: _Access, args: list[bytes]) -> Any:
    try:
        answer = script.python(access.read, access.write, list(access.keys), args)
    except AdapterError:
        raise
    except Exception as error:
        raise Invalid(f"the script failed: {error}", name=script.name) from error
    if answer is None or (isinstance(answer, bytes | int) and not isinstance(answer, bool)):
        return answer
    raise Invalid(f"a script answers bytes, an int or None, not {type(answer).__name__}", name=script.name)


def _checked(keys: Sequence[str] | Mapping[str, bytes]) -> None:
    for key in keys:
        inputs.key_bytes(key)


def _integer(key: str, value: bytes) -> int:
    if INTEGER.fullmatch(value) and inputs.INTEGER_MIN <= int(value) <= inputs.INTEGER_MAX:
        return int(value)
    raise Invalid("the value is not an integer", name=key, cure="only increment what increment made")
