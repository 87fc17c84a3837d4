"""Key-value: fast and losable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Script:
    """An atomic operation on one slot: Lua for Redis and its Python twin for the in-memory store, under one name.

    `python(read, write, keys, args)` gets `read(key) -> bytes | None` and `write(key, bytes | None, ttl_ms=None)`. Both
    return the script's answer as bytes, an int or None. The conformance suite runs both against the same cases.
    """

    name: str
    lua: str
    python: Any


class KeyValue(Protocol):
    """Fast and losable: everything in it can be rebuilt from elsewhere. Keys are text, values bytes.

    Calls on several keys must stay in one slot: give keys that belong together one `{tag}`.
    """

    def get(self, key: str) -> bytes | None:
        """The value, or None when absent or expired. Raises Transient."""
        ...

    def set(self, key: str, value: bytes, *, ttl_seconds: float | None = None) -> None:
        """Store; with a TTL (to the millisecond) the key is gone after it. Without one an earlier TTL is dropped."""
        ...

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """One round trip per slot; values in the order asked, None where absent."""
        ...

    def set_many(self, items: Mapping[str, bytes], *, ttl_seconds: float | None = None) -> None:
        """Store all, atomically per slot."""
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """How many of them existed and are gone now."""
        ...

    def compare_and_set(
        self, key: str, *, expected: bytes | None, value: bytes | None, ttl_seconds: float | None = None
    ) -> bool:
        """Atomically: if the value is `expected` (None: absent), make it `value` (None: delete it). Whether it did."""
        ...

    def increment(self, key: str, by: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a decimal integer (absent is 0) and return the sum. A TTL is set only when the key is new.

        Raises Invalid when the value is not an integer.
        """
        ...

    def run(self, script: Script, *, keys: Sequence[str], args: Sequence[bytes | int | str] = ()) -> Any:
        """Run the script atomically over `keys` of one slot."""
        ...

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with `prefix`: each that is there throughout at least once, in no order, without blocking."""
        ...

    def close(self) -> None: ...
