"""What may be asked of a key-value store, checked alike by every driver, so that a mistake shows on a laptop too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.errors import Invalid

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1
LONGEST_TTL_MS = 100 * 365 * 24 * 3600 * 1000


def key_bytes(key: str, *, prefix: str = "") -> bytes:
    """The key as UTF-8 with the prefix before it. Raises Invalid for what is no key."""
    if not isinstance(key, str) or not key:
        raise Invalid(f"a key is text of at least one character, this is {key!r}", cure="name what is stored")
    try:
        return (prefix + key).encode()
    except UnicodeEncodeError as error:
        raise Invalid("this key holds half of a surrogate pair", name=repr(key), cure="use valid Unicode") from error


def value_bytes(key: str, value: Any) -> bytes:
    """A value to store, as bytes. Raises Invalid for text and numbers: how they are encoded is the caller's choice."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise Invalid(f"a value is bytes, this is {type(value).__name__}", name=key, cure="encode it first")


def milliseconds(ttl_seconds: float | None) -> int | None:
    """A time to live in whole milliseconds, rounded up. Raises Invalid unless it is positive and under 100 years."""
    if ttl_seconds is None:
        return None
    if not math.isfinite(ttl_seconds) or ttl_seconds <= 0 or ttl_seconds * 1000 > LONGEST_TTL_MS:
        raise Invalid(
            f"ttl_seconds must be above 0 and at most 100 years, this is {ttl_seconds!r}",
            cure="leave it out for a value that stays, or call delete",
        )
    return math.ceil(ttl_seconds * 1000)


def integer(by: int) -> int:
    """A number to add. Raises Invalid unless it fits into a signed 64-bit integer."""
    if not isinstance(by, int) or isinstance(by, bool) or not INTEGER_MIN <= by <= INTEGER_MAX:
        raise Invalid(f"can only add a signed 64-bit integer, this is {by!r}")
    return by


def argument(value: bytes | int | str) -> bytes:
    """A script's argument as the script sees it. Raises Invalid for another type."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value
    raise Invalid(f"a script's argument is bytes, str or int, this is {type(value).__name__}")


def tag(key: str) -> str:
    """What decides the slot of a key: the text in its first pair of braces, or the whole key where that is empty."""
    _, opened, rest = key.partition("{")
    inside, closed, _ = rest.partition("}")
    return inside if opened and closed and inside else key


def same_slot(script: str, keys: Sequence[str]) -> None:
    """Raises Invalid unless all keys have one tag. A single server would not mind; a cluster refuses."""
    if len({tag(key) for key in keys}) > 1:
        raise Invalid(f"these keys lie in different slots: {', '.join(keys)}", name=script, cure="give them one {tag}")


def distinct(keys: Iterable[str]) -> list[str]:
    """The keys, each once, in the order given."""
    return list(dict.fromkeys(keys))
