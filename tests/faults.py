"""A proxy on a real socket that does to HTTP requests what networks and servers do: refuse, drop, lose, cut, delay.

    with proxied(server.url) as proxy:
        proxy.fault = lambda request: Lose() if request.number == 0 else None

It takes one request a connection and tells the client so; `proxy.requests` are those that came.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30.0
BLOCK_BYTES = 65_536
HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Request:
    """What a client asked: `number` counts from 0."""

    method: str
    target: str
    number: int


@dataclass(frozen=True)
class Refuse:
    """Answer without asking the server."""

    status: str = "503 Service Unavailable"
    body: bytes = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Drop:
    """Reset the connection before the server hears of the request."""


@dataclass(frozen=True)
class Lose:
    """Let the server do it, and reset the connection before the client hears of it."""


@dataclass(frozen=True)
class Cut:
    """Pass on so many bytes of the answer's body, then reset the connection."""

    after_bytes: int


@dataclass(frozen=True)
class Delay:
    """Hold the request back for so long."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Take the request and never answer."""


@dataclass(frozen=True)
class Trickle:
    """Pass the answer on a byte at a time."""

    seconds_per_byte: float


@dataclass(frozen=True)
class Crawl:
    """Take the request's body no faster than this."""

    bytes_per_second: float


Fault = Refuse | Drop | Lose | Cut | Delay | Hang | Trickle | Crawl


class Proxy:
    """Stands before `upstream`; set `fault` to decide about each request, `target` to change where it goes."""

    def __init__(self, upstream: str, *, rename: bool = False) -> None:
        place = urlsplit(upstream)
        self._host = place.netloc.encode() if rename else None
        self._upstream = (place.hostname or "", place.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK_BYTES
        )  # or the kernel takes it all at once
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[Request] = []
        self.fault: Callable[[Request], Fault | None] = lambda _: None
        self.target: Callable[[Request], str] = lambda request: request.target
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """End every connection."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE_SECONDS)

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE_SECONDS)
        with self._lock:
            self._open.add(client)
        try:
            with client, contextlib.suppress(OSError):
                self._pass_on(client)
        finally:
            with self._lock:
                self._open.discard(client)

    def _pass_on(self, client: socket.socket) -> None:
        head, rest = _head(client)
        if not head:
            return None
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        with self._lock:
            request = Request(method, target, len(self.requests))
            self.requests.append(request)
        fault = self.fault(request)
        if isinstance(fault, Delay):
            self._ending.wait(fault.seconds)
        if b"\nexpect: 100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = re.sub(rb"(?i)\r\nexpect: 100-continue", b"", head)
        pace = fault.bytes_per_second if isinstance(fault, Crawl) else None
        if isinstance(fault, Drop):
            return _reset(client)
        body = _body(client, head, rest, pace)
        if isinstance(fault, Hang):
            self._ending.wait(PATIENCE_SECONDS)
            return None
        if isinstance(fault, Refuse):
            for _ in body:
                pass
            return client.sendall(
                f"HTTP/1.1 {fault.status}\r\nContent-Length: {len(fault.body)}\r\n"
                "Content-Type: application/xml\r\nConnection: close\r\n\r\n".encode()
                + (fault.body if method != "HEAD" else b"")
            )
        head = head.replace(f" {target} ".encode("latin-1"), f" {self.target(request)} ".encode("latin-1"), 1)
        with socket.create_connection(self._upstream, PATIENCE_SECONDS) as server:
            if self._host is not None:
                head = re.sub(rb"(?i)\r\nhost: [^\r]*", b"\r\nHost: " + self._host, head)
            server.sendall(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n")
            for block in body:
                server.sendall(block)
            self._answer(client, server, fault)
        return None

    def _answer(self, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        if isinstance(fault, Lose):
            while server.recv(BLOCK_BYTES):
                pass
            return _reset(client)
        head, start = _head(server)
        client.sendall(head)
        left = fault.after_bytes if isinstance(fault, Cut) else None
        block = start
        while True:
            if left is not None and len(block) >= left:
                client.sendall(block[:left])
                return _reset(client)
            if isinstance(fault, Trickle):
                for at in range(len(block)):
                    client.sendall(block[at : at + 1])
                    if self._ending.wait(fault.seconds_per_byte):
                        return None
            else:
                client.sendall(block)
            left = left - len(block) if left is not None else None
            block = server.recv(BLOCK_BYTES)
            if not block:
                return None


@contextlib.contextmanager
def proxied(upstream: str, *, rename: bool = False) -> Iterator[Proxy]:
    """A proxy before `upstream` until the block ends.

    With `rename` the server sees its own name as `Host`, for one that goes by it; a signature over it would not hold.
    """
    proxy = Proxy(upstream, rename=rename)
    try:
        yield proxy
    finally:
        proxy.close()


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a message with its empty line, and what came of the body with it."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < HEAD_BYTES:
        block = connection.recv(BLOCK_BYTES)
        if not block:
            return b"", b""
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _body(connection: socket.socket, head: bytes, rest: bytes, bytes_per_second: float | None) -> Iterator[bytes]:
    """A request's body as it is on the wire, block by block; `rest` is the first."""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)
    began, came, block = time.monotonic(), 0, rest
    tail = b""
    while True:
        came += len(block)
        tail = (tail + block)[-5:]
        yield block
        if not (chunked and tail != b"0\r\n\r\n") and not (length and came < int(length[1])):
            return
        if bytes_per_second:
            # The fault itself: a slow network.
            time.sleep(max(0.0, began + came / bytes_per_second - time.monotonic()))
        block = connection.recv(BLOCK_BYTES)
        if not block:
            return


def _reset(connection: socket.socket) -> None:
    """Close at once and impolitely, as a host that lost its state does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
