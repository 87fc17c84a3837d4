"""Scripts to hold a key-value store to its promises: each in Lua, and its twin in Python that must answer the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from adapters.ports import Script

Read: TypeAlias = Callable[[str], bytes | None]
Write: TypeAlias = Callable[..., None]


def _take_tokens(read: Read, write: Write, keys: list[str], args: list[bytes]) -> int:
    """How many whole tokens are left, or -1 where too few were."""
    capacity, refill_per_second, now_ms, wanted = (int(arg) for arg in args)
    stored = read(keys[0])
    tokens, since_ms = (int(part) for part in stored.split(b":")) if stored else (capacity * 1000, now_ms)
    tokens = min(capacity * 1000, tokens + max(0, now_ms - since_ms) * refill_per_second)
    granted = tokens >= wanted * 1000
    if granted:
        tokens -= wanted * 1000
    write(keys[0], b"%d:%d" % (tokens, max(now_ms, since_ms)), 60_000)
    return tokens // 1000 if granted else -1


TOKEN_BUCKET = Script(
    "token_bucket",
    """
    local capacity, refill, now, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
    local tokens, since = capacity * 1000, now
    local stored = redis.call('GET', KEYS[1])
    if stored then
      local left, right = string.match(stored, '^(%d+):(%d+)$')
      tokens, since = tonumber(left), tonumber(right)
    end
    tokens = math.min(capacity * 1000, tokens + math.max(0, now - since) * refill)
    local granted = tokens >= wanted * 1000
    if granted then tokens = tokens - wanted * 1000 end
    redis.call('SET', KEYS[1], string.format('%.0f:%.0f', tokens, math.max(now, since)), 'PX', 60000)
    if granted then return math.floor(tokens / 1000) end
    return -1
    """,
    _take_tokens,
)


def _set_if_greater(read: Read, write: Write, keys: list[str], args: list[bytes]) -> bytes | None:
    """The winner's previous number as text (`none` for the first), or None where the stored one is as great."""
    current = read(keys[0])
    if current is not None and int(current) >= int(args[0]):
        return None
    write(keys[0], args[0])
    write(keys[1], args[1])
    return b"none" if current is None else current


SET_IF_GREATER = Script(
    "set_if_greater",
    """
    local current = redis.call('GET', KEYS[1])
    if current and tonumber(current) >= tonumber(ARGV[1]) then return false end
    redis.call('SET', KEYS[1], ARGV[1])
    redis.call('SET', KEYS[2], ARGV[2])
    return current or 'none'
    """,
    _set_if_greater,
)


def _fail(*_: object) -> None:
    raise ValueError("told to fail")


FAILING = Script("failing", "return redis.error_reply('told to fail')", _fail)
