"""Connections that keep to an operation's deadline, under both vendors' SDKs, which know only limits per read.

A server that sends a byte a second never runs into a limit per read, and urllib3 allows a whole body no more time to be
sent than a connection to be made. So the deadline is kept where bytes are read and written: `deadline.bounded` around a
call of an SDK bounds all its reads, writes and connections together, and without one a stalled write is bounded as a
stalled read is.
"""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any, Final

from adapters.drivers.storage.deadline import seconds_left

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

    from adapters.settings import StorageSettings

WRITE_BYTES: Final = 1 << 20
"""Sent at once: a socket's limit is over all bytes of one call."""


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
            self.sock = _Socket(self.sock, stall_seconds)

    class Pool(pool):
        ConnectionCls = Connection

    return Pool


class _Socket:
    """A connected socket that looks at the deadline before it waits."""

    def __init__(self, sock: Any, stall_seconds: float) -> None:
        self._sock, self._stall_seconds = sock, stall_seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all, `WRITE_BYTES` at a time, each within the limits."""
        rest = memoryview(data).cast("B")
        while rest:
            left = seconds_left()
            self._sock.settimeout(self._stall_seconds if left is None else min(left, self._stall_seconds))
            self._sock.sendall(rest[:WRITE_BYTES])
            rest = rest[WRITE_BYTES:]

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader | socket.SocketIO:
        """The bytes that arrive, as http.client reads them; unbuffered with 0, as botocore reads a `100 Continue`."""
        self._sock._io_refs += 1  # as socket.makefile counts, so that closing waits for the file
        arriving = _Arriving(self._sock, "rb")
        if buffering == 0:
            return arriving
        return io.BufferedReader(arriving, buffering if buffering > 0 else io.DEFAULT_BUFFER_SIZE)


class _Arriving(socket.SocketIO):
    """The raw bytes of a socket."""

    def readinto(self, b: Any) -> int | None:
        left = seconds_left()
        if left is not None:
            sock: Any = self._sock  # type: ignore[attr-defined]
            limit = sock.gettimeout()
            if limit is None or left < limit:
                sock.settimeout(left)
        return super().readinto(b)
