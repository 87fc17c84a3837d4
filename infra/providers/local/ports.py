"""Choosing loopback ports: the same ones each time where they are free, and below the range the kernel hands out."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager

from infra.providers.base import ProviderError
from infra.providers.local.templates import HOST

# Linux gives outgoing connections ports from 32768 on: one of those can be taken at any moment.
LOWEST, HIGHEST = 20000, 32767


class Reservations:
    """Ports promised to starts under way in this process, so that two at once never choose the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[int] = set()

    @contextmanager
    def choose(
        self, key: str, wanted: Mapping[str, int], preferred: Mapping[str, int], avoid: Container[int]
    ) -> Iterator[dict[str, int]]:
        """A port for each name of `wanted`, held until the block ends.

        A number in `wanted` is taken as it is; 0 means any: first the `preferred` one, then those that `key` hashes to.
        Raises PortTaken for a fixed port that somebody listens on.
        """
        with self._lock:
            chosen: dict[str, int] = {}
            for name, fixed in wanted.items():
                if fixed and not is_free(fixed):
                    raise PortTaken(name, fixed)
                used = {*self._held, *chosen.values()}
                chosen[name] = fixed or _any(f"{key}/{name}", preferred.get(name, 0), avoid, used)
            self._held.update(chosen.values())
        try:
            yield chosen
        finally:
            with self._lock:
                self._held.difference_update(chosen.values())


class PortTaken(ProviderError):
    """A port that was asked for by number is in use."""

    def __init__(self, name: str, port: int, holder: str = "") -> None:
        self.name, self.port = name, port
        who = f" by {holder}" if holder else ""
        super().__init__(f"port {port} ({name!r}) is taken{who}: end that, or ask for another port")


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def candidates(key: str) -> Iterator[int]:
    """Every port of the range once, starting where `key` says: stable from run to run, spread between keys."""
    count = HIGHEST - LOWEST + 1
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % count
    for step in range(count):
        yield LOWEST + (start + step) % count


def _any(key: str, preferred: int, avoid: Container[int], used: set[int]) -> int:
    if preferred and preferred not in used and is_free(preferred):
        return preferred
    for port in candidates(key):
        if port not in used and port not in avoid and is_free(port):
            return port
    raise ProviderError(f"no port between {LOWEST} and {HIGHEST} is free on this machine")
