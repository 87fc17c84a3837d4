"""Redis and Valkey, one server or a cluster, through redis-py over RESP3.

Nothing is retried here: a lost connection leaves open whether an increment took place. Connections that the server
closed while they lay idle are noticed before use and replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters import missing
from adapters.drivers.key_value import inputs
from adapters.drivers.key_value.redis_errors import translating
from adapters.errors import Invalid
from adapters.ports import Script
from adapters.settings import KeyValueSettings, reveal

try:
    import redis
    from redis import exceptions
    from redis.backoff import NoBackoff
    from redis.crc import key_slot
    from redis.maint_notifications import MaintNotificationsConfig
    from redis.retry import Retry
except ImportError as error:
    raise missing("redis", extra="runtime") from error

CONNECTIONS = 64
IDLE_CHECK_SECONDS = 30
SCAN_COUNT = 500
LITERAL = str.maketrans({character: f"\\{character}" for character in "\\*?[]^-"})

COMPARE_AND_SET = """
local current = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if current ~= ARGV[2] then return 0 end
elseif current then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
elseif ARGV[5] == '' then
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
end
return 1
"""
# INCRBY's answer would pass through Lua's floating point, so the sum is read back as text.
INCREMENT = """
local new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if new then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"""
SET_MANY = "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1]) end"


def open(section: KeyValueSettings) -> RedisKeyValue:
    """A connection pool to the server or the cluster that `section` names. Raises Invalid, Denied or Transient."""
    if not section.host:
        raise Invalid(
            "no Redis is named", name="key_value.host", cure="set ISTHMUS_KEY_VALUE_HOST, or run `isthmus up`"
        )
    if "{" in section.prefix or "}" in section.prefix:
        raise Invalid("braces would move every key to one slot", name="key_value.prefix", cure="leave them out")
    options: dict[str, Any] = {
        "host": section.host,
        "port": section.port,
        "username": reveal(section.username),
        "password": reveal(section.password),
        "protocol": 3,
        "socket_timeout": section.timeout_seconds,
        "socket_connect_timeout": section.timeout_seconds,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if section.tls:
        options |= {"ssl_ca_certs": section.ca_file or None, "ssl_check_hostname": True}
    with translating(f"{section.host}:{section.port}"):
        return RedisKeyValue(_cluster(section, options) if section.cluster else _single(section, options), section)


def _single(section: KeyValueSettings, options: dict[str, Any]) -> redis.Redis:
    pool = redis.BlockingConnectionPool(
        connection_class=redis.SSLConnection if section.tls else redis.Connection,
        max_connections=CONNECTIONS,
        timeout=section.timeout_seconds,  # type: ignore[arg-type]  # it goes to Queue.get, which takes a float
        health_check_interval=IDLE_CHECK_SECONDS,
        **options,
    )
    return redis.Redis.from_pool(pool)


def _cluster(section: KeyValueSettings, options: dict[str, Any]) -> redis.RedisCluster:
    # A pool for each node, as large as there are threads: redis-py's pool of a cluster cannot wait, it would refuse.
    return redis.RedisCluster(ssl=section.tls, **options)


class RedisKeyValue:
    """The port over one redis-py client. `repr` shows the address and never the credentials."""

    def __init__(self, client: redis.Redis | redis.RedisCluster, section: KeyValueSettings) -> None:
        # Typed loosely: redis-py's annotations answer `Awaitable | Any` to a synchronous caller.
        self._client: Any = client
        self._clustered = section.cluster
        self._prefix = section.prefix
        self._address = f"{section.host}:{section.port}"

    def __repr__(self) -> str:
        return f"RedisKeyValue({self._address!r}, cluster={self._clustered})"

    def get(self, key: str) -> bytes | None:
        stored = self._key(key)
        with translating(key):
            return self._client.execute_command("GET", stored)

    def set(self, key: str, value: bytes, *, ttl_seconds: float | None = None) -> None:
        command = self._store({key: value}, inputs.milliseconds(ttl_seconds))
        with translating(key):
            self._client.execute_command(*command)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        groups = self._by_slot(inputs.distinct(keys))
        answers = self._each([("MGET", *map(self._key, group)) for group in groups], keys)
        found = {key: value for part in zip(groups, answers, strict=True) for key, value in zip(*part, strict=True)}
        return [found[key] for key in keys]

    def set_many(self, items: Mapping[str, bytes], *, ttl_seconds: float | None = None) -> None:
        ttl_ms = inputs.milliseconds(ttl_seconds)
        groups = [{key: items[key] for key in group} for group in self._by_slot(list(items))]
        self._each([self._store(group, ttl_ms) for group in groups], list(items))

    def delete(self, keys: Sequence[str]) -> int:
        groups = self._by_slot(inputs.distinct(keys))
        return sum(self._each([("DEL", *map(self._key, group)) for group in groups], keys))

    def compare_and_set(
        self, key: str, *, expected: bytes | None, value: bytes | None, ttl_seconds: float | None = None
    ) -> bool:
        ttl_ms = inputs.milliseconds(ttl_seconds)
        args = [*_optional(key, expected), *_optional(key, value), b"" if ttl_ms is None else b"%d" % ttl_ms]
        return bool(self._evaluate(COMPARE_AND_SET, [key], args, name=key))

    def increment(self, key: str, by: int = 1, *, ttl_seconds: float | None = None) -> int:
        inputs.integer(by)
        ttl_ms = inputs.milliseconds(ttl_seconds)
        if ttl_ms is not None:
            return int(self._evaluate(INCREMENT, [key], [b"%d" % by, b"%d" % ttl_ms], name=key))
        stored = self._key(key)
        with translating(key):
            return self._client.execute_command("INCRBY", stored, by)

    def run(self, script: Script, *, keys: Sequence[str], args: Sequence[bytes | int | str] = ()) -> Any:
        inputs.same_slot(script.name, keys)
        return self._evaluate(script.lua, keys, [inputs.argument(arg) for arg in args], name=script.name)

    def scan(self, prefix: str) -> Iterator[str]:
        pattern = (self._prefix + prefix).translate(LITERAL) + "*"
        with translating(prefix or "every key"):
            for stored in self._client.scan_iter(match=pattern.encode(), count=SCAN_COUNT):
                yield stored.decode()[len(self._prefix) :]

    def close(self) -> None:
        """Give all connections back."""
        self._client.close()

    def _key(self, key: str) -> bytes:
        return inputs.key_bytes(key, prefix=self._prefix)

    def _by_slot(self, keys: list[str]) -> list[list[str]]:
        """The keys in groups that one command may name: all on a single server, one group a slot on a cluster."""
        groups: dict[int, list[str]] = {}
        for key in keys:
            stored = self._key(key)
            groups.setdefault(key_slot(stored) if self._clustered else 0, []).append(key)
        return list(groups.values())

    def _store(self, items: Mapping[str, bytes], ttl_ms: int | None) -> tuple[Any, ...]:
        """The one command that stores all of these, atomically."""
        pairs = [(self._key(key), inputs.value_bytes(key, value)) for key, value in items.items()]
        if len(pairs) == 1:
            return ("SET", *pairs[0]) if ttl_ms is None else ("SET", *pairs[0], "PX", ttl_ms)
        if ttl_ms is None:
            return ("MSET", *(part for pair in pairs for part in pair))
        return ("EVAL", SET_MANY, len(pairs), *(key for key, _ in pairs), ttl_ms, *(value for _, value in pairs))

    def _each(self, commands: list[tuple[Any, ...]], keys: Sequence[str]) -> list[Any]:
        """Run independent commands, together where there are several. Answers in their order."""
        with translating(", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")):
            if len(commands) < 2:
                return [self._client.execute_command(*command) for command in commands]
            with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return pipeline.execute()

    def _evaluate(self, lua: str, keys: Sequence[str], args: Sequence[bytes], *, name: str) -> Any:
        rest = (len(keys), *map(self._key, keys), *args)
        digest = hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest()
        with translating(name):
            try:
                return self._client.execute_command("EVALSHA", digest, *rest)
            except exceptions.NoScriptError:  # a server that is new, or whose scripts were flushed
                return self._client.execute_command("EVAL", lua, *rest)


def _optional(key: str, value: bytes | None) -> tuple[bytes, bytes]:
    return (b"0", b"") if value is None else (b"1", inputs.value_bytes(key, value))
