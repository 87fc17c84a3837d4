"""Connections that keep to a deadline, on real sockets and without an SDK in between."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from urllib3 import PoolManager, Timeout
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from adapters.drivers.storage.deadline import bounded
from adapters.drivers.storage.sockets import pools

MEBIBYTE = 1 << 20
CONNECT_SECONDS = 0.3
STALL_SECONDS = 3.0
SAFETY_SECONDS = 3.0


class SlowServer:
    """Takes one request's body at a pace and answers a byte at a time at another, until it is closed."""

    def __init__(self, *, taken_per_second: float = 1e12, seconds_per_byte: float = 0.0) -> None:
        self._taken_per_second, self._seconds_per_byte = taken_per_second, seconds_per_byte
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(65_536)
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            came, began = len(body), time.monotonic()
            while came < length and not self._ending.is_set():
                came += len(client.recv(65_536))
                self._ending.wait(max(0.0, began + came / self._taken_per_second - time.monotonic()))
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone":
                if self._ending.wait(self._seconds_per_byte):
                    return
                client.sendall(bytes([byte]))

    def close(self) -> None:
        self._ending.set()
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def http() -> Iterator[PoolManager]:
    manager = PoolManager(timeout=Timeout(connect=CONNECT_SECONDS, read=STALL_SECONDS), retries=False)
    manager.pool_classes_by_scheme = pools(STALL_SECONDS, HTTPConnectionPool, HTTPSConnectionPool)
    yield manager
    manager.clear()


def test_a_body_that_moves_has_more_time_than_a_connection_to_be_made(http: PoolManager) -> None:
    server = SlowServer(taken_per_second=8 * MEBIBYTE)
    try:
        started = time.monotonic()
        assert http.request("POST", server.url, body=bytes(14 * MEBIBYTE)).data == b"done"
        assert time.monotonic() - started > 3 * CONNECT_SECONDS
    finally:
        server.close()


def test_an_answer_a_byte_at_a_time_is_broken_off_at_the_deadline(http: PoolManager) -> None:
    server = SlowServer(seconds_per_byte=0.5)
    try:
        started = time.monotonic()
        with bounded(started + 1.0), pytest.raises((HTTPError, TimeoutError)):
            http.request("POST", server.url, body=b"x")
        assert 1.0 <= time.monotonic() - started < 1.0 + SAFETY_SECONDS
    finally:
        server.close()


def test_a_body_that_goes_out_slowly_is_broken_off_at_the_deadline(http: PoolManager) -> None:
    server = SlowServer(taken_per_second=MEBIBYTE)
    try:
        started = time.monotonic()
        with bounded(started + 1.0), pytest.raises((HTTPError, TimeoutError)):
            http.request("POST", server.url, body=bytes(14 * MEBIBYTE))
        assert time.monotonic() - started < 1.0 + SAFETY_SECONDS
    finally:
        server.close()


def test_nothing_is_sent_after_the_deadline(http: PoolManager) -> None:
    server = SlowServer()
    try:
        with bounded(time.monotonic() - 1.0), pytest.raises((HTTPError, TimeoutError)):
            http.request("POST", server.url, body=b"x")
        assert http.request("POST", server.url, body=b"x").data == b"done", (
            "the thread's deadline is gone with the block"
        )
    finally:
        server.close()
