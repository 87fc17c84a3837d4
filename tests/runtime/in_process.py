"""A toy model without torch, and the application without a socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from adapters.ports import ModelVersion
from runtime.domain.reference import Reference
from runtime.domain.signature import Signature
from runtime.registry.manifest import Architecture, Manifest, Samples
from runtime.serve.app import App
from runtime.serve.http import Edge
from runtime.serve.meters import Meters
from runtime.serve.model import Model, Workers
from runtime.serve.shelf import Shelf, View


def toy(
    signature: Signature,
    infer: Callable[..., dict[str, np.ndarray]],
    *,
    name: str = "toy",
    version: int = 1,
    public: bool = False,
) -> Model:
    """A model around a plain function of arrays."""
    record = ModelVersion(name, version, (), {"accuracy": 0.5}, {}, {}, datetime.now(UTC), "d" * 64)
    architecture = Architecture(name="toy:Toy", config={}, source_sha256="")
    manifest = Manifest(
        model=name, summary="A toy", architecture=architecture, signature=signature, samples_public=public
    )
    samples = Samples(inputs={spec.name: [[1.0, 2.0]] for spec in signature.inputs}, outputs={}, targets=[0])
    return Model(record, manifest, samples, infer, True, datetime.now(UTC))


@dataclass
class Answer:
    """What came back over ASGI."""

    status: int
    headers: dict[str, str]
    body: bytes
    parts_read: int
    """How many parts of the body the application asked for."""

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def problem(self) -> dict[str, Any]:
        """The problem document, whose form is checked on the way."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        document = self.json()
        assert document["status"] == self.status
        assert document["detail"] == document["error"] != ""
        assert document["type"].startswith("/problems/")
        return document


@dataclass
class Caller:
    """Sends requests to an ASGI application in this process, body in the parts given."""

    edge: Edge
    meters: Meters = field(default_factory=Meters)

    def ask(
        self, method: str, target: str, *parts: bytes, headers: Mapping[str, str] | None = None, hang_up: bool = False
    ) -> Answer:
        path, _, query = target.partition("?")
        sent: list[Mapping[str, Any]] = []
        pieces = [{"type": "http.request", "body": part, "more_body": True} for part in parts or (b"",)]
        pieces[-1]["more_body"] = hang_up
        messages = itertools.chain(pieces, itertools.repeat({"type": "http.disconnect"}))

        read = 0

        async def receive() -> Mapping[str, Any]:
            nonlocal read
            read += 1
            return next(messages)

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        listed = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": listed}
        asyncio.run(self.edge(scope, receive, send))
        start, body = sent
        return Answer(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body["body"], read)

    def post(self, target: str, document: object, headers: Mapping[str, str] | None = None) -> Answer:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return self.ask("POST", target, body, headers={"content-type": "application/json", **(headers or {})})


def serving(*models: Model, max_body_bytes: int = 1_000_000, waiting: int = 256) -> Caller:
    """The public application with these models on its shelf, the first of a name being its default."""
    references = [Reference(model.name, model.version) for model in models]
    shelf = Shelf(None, references)  # type: ignore[arg-type]  # nothing is loaded from it
    shelf.view = View(dict(zip(references, models, strict=True)))
    meters = Meters()
    app = App(shelf, Workers(waiting=waiting), meters)
    return Caller(Edge(app.router, meters, max_body_bytes=max_body_bytes), meters)
