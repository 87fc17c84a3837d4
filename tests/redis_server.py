"""Real Redis servers for tests: one, one with a password, or a cluster of three, on free loopback ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis import exceptions

from tests.children import end_with_parent
from tests.deadline import until
from tools import locate

SLOTS = 16384
HIGHEST_PORT = 32768  # below the ephemeral range, and the cluster's bus, 10000 above, stays under 65536
ATTEMPTS = 20


@dataclass(frozen=True)
class RedisServer:
    """A running server. `process` lets a test stop and end it."""

    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: object) -> redis.Redis:
        """A plain client, for what the port does not offer."""
        return redis.Redis(host=self.host, port=self.port, **options)  # type: ignore[arg-type]


def program() -> str:
    """The redis-server that the project uses. Raises ToolMissing, which says how to install it."""
    return locate("redis-server").argv[0]


@contextmanager
def redis_server(*options: str, password: str = "", port: int = 0) -> Iterator[RedisServer]:
    """A server that keeps nothing, ready for commands; ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-redis-"))
    try:
        server = _start(folder, options, password, port)
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait(10)
    finally:
        shutil.rmtree(folder)


@contextmanager
def redis_cluster(nodes: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of primaries that share the slots evenly, every one of which has seen that all is well."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(redis_server("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
            for _ in range(nodes)
        ]
        clients = [stack.enter_context(server.client(decode_responses=True)) for server in servers]
        for index, client in enumerate(clients):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
            client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS * index // nodes, SLOTS * (index + 1) // nodes))
            client.execute_command("CLUSTER MEET", servers[0].host, servers[0].port)
        until(lambda: all(_complete(client, nodes) for client in clients), what="the Redis cluster to agree")
        yield servers


def _complete(client: redis.Redis, nodes: int) -> bool:
    info: Any = client.execute_command("CLUSTER INFO")
    owners: Any = client.execute_command("CLUSTER SLOTS")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes and len(owners) == nodes


def _start(folder: Path, options: Sequence[str], password: str, port: int) -> RedisServer:
    for _ in range(1 if port else ATTEMPTS):
        chosen = port or _free_port()
        process = subprocess.Popen(
            [program(), "--bind", "127.0.0.1", "--port", str(chosen), "--dir", str(folder), "--save", ""]
            + ["--appendonly", "no", "--daemonize", "no", *options]
            + (["--requirepass", password] if password else []),
            stdin=subprocess.DEVNULL,
            stdout=(folder / "log").open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )
        server = RedisServer("127.0.0.1", chosen, folder, process)
        until(lambda: process.poll() is not None or _answers(server, password), what=f"Redis on port {chosen}")  # noqa: B023
        if process.poll() is None:
            return server
        log = (folder / "log").read_text(errors="replace")
        if "already in use" not in log:
            raise RuntimeError(f"redis-server ended with {process.returncode}:\n{log}")
    raise RuntimeError(f"no free port for redis-server in {ATTEMPTS} attempts")


def _answers(server: RedisServer, password: str) -> bool:
    with server.client(password=password or None, socket_timeout=1) as client:
        try:
            return client.execute_command("PING") in (True, b"PONG")
        except exceptions.ConnectionError:
            return False


def _free_port() -> int:
    while True:
        port = 10000 + int.from_bytes(os.urandom(2)) % (HIGHEST_PORT - 10000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
