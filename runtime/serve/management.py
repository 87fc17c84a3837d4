"""The management routes, on a port of their own that only this machine reaches: metrics, health, reload."""

from __future__ import annotations

import msgspec

from runtime.serve.app import App
from runtime.serve.http import Edge, Request, Response, answer
from runtime.serve.meters import Meters
from runtime.serve.reload import Follower
from runtime.serve.router import Route, Router
from runtime.serve.shelf import Shelf


class Served(msgspec.Struct):
    """A reference and what it stands for now; None while it loads."""

    reference: str
    version: int | None
    digest: str
    loaded: str


class Health(msgspec.Struct):
    """The state of this process."""

    ready: bool
    stopping: bool
    in_flight: int
    models: list[Served]
    last_failure: str


class Reloaded(msgspec.Struct):
    """What a look at the registry changed, one sentence each."""

    changes: list[str]


class Management:
    """The management pages."""

    def __init__(self, app: App, shelf: Shelf, meters: Meters, follower: Follower) -> None:
        self._app, self._shelf, self._meters, self._follower = app, shelf, meters, follower
        self.public: Edge | None = None
        self.router = Router(
            [
                Route("GET", "/health", self.health, "The state of this process", Health),
                Route("GET", "/metrics", self.metrics, "Counters in the Prometheus text format", "text/plain"),
                Route("POST", "/reload", self.reload, "Look at the registry now", Reloaded),
            ]
        )

    async def health(self, request: Request) -> Response:
        view = self._shelf.view
        served = []
        for reference in self._shelf.references:
            model = view.by_reference.get(reference)
            known = (model.version, model.record.digest, model.loaded.isoformat()) if model else (None, "", "")
            served.append(Served(str(reference), *known))
        return answer(
            Health(self._app.is_ready, self._app.stopping, self._in_flight, served, self._follower.last_failure)
        )

    async def metrics(self, request: Request) -> Response:
        loaded = {(model.name, model.version) for model in self._shelf.view.by_reference.values()}
        text = self._meters.exposition(ready=self._app.is_ready, in_flight=self._in_flight, loaded=loaded)
        return Response(text.encode(), content_type="text/plain; version=0.0.4; charset=utf-8")

    async def reload(self, request: Request) -> Response:
        return answer(Reloaded([change.sentence for change in await self._follower.look()]))

    @property
    def _in_flight(self) -> int:
        return self.public.in_flight if self.public else 0
