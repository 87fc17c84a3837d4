"""One process: two listeners, the models, and the order of starting and stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from adapters.errors import Conflict
from adapters.ports import ModelRegistry
from runtime.domain.reference import Reference
from runtime.serve.app import App
from runtime.serve.http import Edge
from runtime.serve.management import Management
from runtime.serve.meters import Meters
from runtime.serve.model import Workers
from runtime.serve.reload import Follower
from runtime.serve.shelf import Shelf

DRAIN_SECONDS = 3.0
"""For answers that are being computed; what is left of 5 seconds is for the interpreter's own end."""
HURRY_SECONDS = 1.0
"""For bodies that are still arriving."""
HEADER_TIMEOUT_MILLISECONDS = 5_000
BACKLOG = 1024
WAIT_SECONDS = 0.5
"""Between looks for a model that is not registered yet; the first `up` starts the server before it trains."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Everything the server is told."""

    references: Sequence[Reference]
    listen: Listen
    management: Listen
    allowed: Sequence[str] = ()
    device: str = "auto"
    threads: int = 1
    poll_seconds: float = 2.0


def serve(registry: ModelRegistry, config: ServeConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises what keeps a model from being loaded, or Conflict for a port that is taken.

    Does not return when a thread is still inside the registry or a model at the end: that process is ended on the spot, for
    Python would wait for the thread, however long it takes.
    """
    if not uvloop.run(_signalled(registry, config)):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _signalled(registry: ModelRegistry, config: ServeConfig) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await run(registry, config, stop=stop.wait)


async def run(
    registry: ModelRegistry,
    config: ServeConfig,
    *,
    stop: Callable[[], Awaitable[object]],
    say: Callable[[str], None] | None = None,
) -> bool:
    """Listen, load, follow, until `stop` answers; then drain. The listeners answer while the models load: live, not ready.

    Whether everything has ended: false when a thread is still busy.
    """
    say = say or (lambda sentence: print(sentence, flush=True))
    for listen in (config.listen, config.management):
        _check_free(listen)
    meters = Meters()
    shelf = Shelf(registry, config.references, allowed=config.allowed, device=config.device)
    workers = Workers(threads=config.threads)
    follower = Follower(shelf, meters, say=say)
    app = App(shelf, workers, meters)
    edge = Edge(app.router, meters)
    management = Management(app, shelf, meters, follower)
    management.public = edge

    servers = [_listen(edge, config.listen), _listen(Edge(management.router, Meters()), config.management)]
    listening = [asyncio.create_task(server.serve()) for server in servers]
    working = asyncio.create_task(_load_and_follow(follower, config, say))
    stopped = asyncio.ensure_future(stop())
    try:
        await asyncio.wait([*listening, working, stopped], return_when=asyncio.FIRST_COMPLETED)
        for ended in (working, *listening):
            if ended.done():
                ended.result()
    finally:
        app.stopping = True
        edge.hurry(HURRY_SECONDS)
        working.cancel()
        stopped.cancel()
        for server in servers:
            server.stop()
        await asyncio.wait(listening, timeout=DRAIN_SECONDS)
        follower.close()
        workers.close()
    say("stopped")
    return not (follower.busy or workers.busy)


async def _load_and_follow(follower: Follower, config: ServeConfig, say: Callable[[str], None]) -> None:
    await follower.first(every_seconds=min(config.poll_seconds, WAIT_SECONDS))
    say(
        f"ready: http://{config.listen.host}:{config.listen.port}, "
        f"management http://{config.management.host}:{config.management.port}"
    )
    await follower.follow(every_seconds=config.poll_seconds)


def _listen(edge: Edge, listen: Listen) -> Server:
    return Server(
        edge,
        address=listen.host,
        port=listen.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MILLISECONDS),
        websockets=False,
        backlog=BACKLOG,
        log_enabled=False,
    )


def _check_free(listen: Listen) -> None:
    """granian shares a port that another server holds, and either of the two would get the requests."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as error:
            place = f"{listen.host}:{listen.port}"
            raise Conflict(
                f"cannot listen there: {error.strerror}", name=place, cure="choose another with --port"
            ) from error
