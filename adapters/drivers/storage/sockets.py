"""Connections that keep to an operation's deadline, under both vendors' SDKs, which know only limits per read.

A server that sends a byte a second never runs into a limit per read, and urllib3 allows a whole body no more time to be
sent than a connection to be made. So the deadline is kept where bytes are read and written: `deadline.bounded` around a
call of an SDK bounds all its reads, writes and connections together, and without one a stalled write is bounded as a
stalled read is.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from adapters.drivers.storage.deadline import seconds_left

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

    from adapters.settings import StorageSettings

WRITE_BYTES: Final = 1 << 20
"""Sent at once: a socket's limit is over all bytes of one call."""
READ_BYTES: Final = 64 << 10
"""Read ahead at least: SDKs take an answer 8 KiB at a time, and each read of the socket costs more than copying so much."""
LATE_SECONDS: Final = 0.05
"""How much past the deadline a read may last. To be exact to the microsecond would cost a system call for every read."""


def stall_seconds(settings: StorageSettings) -> float:
    """How long a connection may stand still: half of what an operation may take, so that there is time for another."""
    return settings.timeout_seconds / 2


def pools(stall_seconds: float, http: type[Any], https: type[Any]) -> dict[str, type[HTTPConnectionPool]]:
    """For `PoolManager.pool_classes_by_scheme`: pools like these, of connections that keep to the deadline."""
    return {"http": _keeping(http, stall_seconds), "https": _keeping(https, stall_seconds)}


def _keeping(pool: type[Any], stall_seconds: float) -> type[HTTPConnectionPool]:
    class Connection(pool.ConnectionCls):
        def connect(self) -> None:
            left = seconds_left()
            if left is not None and (self.timeout is None or left < self.timeout):
                self.timeout = left
            super().connect()
            # The socket itself and no wrapper around it: TLS or not, everything else about it stays as it is.
            self.sock.__class__ = _bounded(type(self.sock), stall_seconds)

    class Pool(pool):
        ConnectionCls = Connection

    return Pool


@cache
def _bounded(kind: type[Any], stall_seconds: float) -> type[Any]:
    """A kind of socket like this that looks at the deadline before it waits."""

    class Bounded(kind):
        __slots__ = ()

        def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
            if len(data) <= WRITE_BYTES:
                self.settimeout(_limit(stall_seconds))
                return super().sendall(data, flags)
            rest = memoryview(data).cast("B")
            while rest:
                self.settimeout(_limit(stall_seconds))
                super().sendall(rest[:WRITE_BYTES], flags)
                rest = rest[WRITE_BYTES:]
            return None

        def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> Any:
            return super().makefile(mode, READ_BYTES if mode == "rb" and buffering is None else buffering, **options)

        def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
            left = seconds_left()
            if left is not None and ((limit := self.gettimeout()) is None or left < limit - LATE_SECONDS):
                self.settimeout(left)
            return super().recv_into(buffer, nbytes or 0, flags)

    return Bounded


def _limit(stall_seconds: float) -> float:
    left = seconds_left()
    return stall_seconds if left is None or left > stall_seconds else left
