"""The public routes: what each page takes, does and gives. Bytes in, bytes out; the models are on the shelf."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from runtime.domain.number import whole_number
from runtime.domain.problems import Kind, Problem
from runtime.serve import oip, page, v1
from runtime.serve.http import JSON, TEXT, Request, Response, answer
from runtime.serve.meters import Meters
from runtime.serve.model import Model, Workers
from runtime.serve.openapi import openapi
from runtime.serve.router import Route, Router
from runtime.serve.shelf import Shelf

NAME, VERSION = "isthmus", "0.1.0"
EXTENSIONS = ["binary_tensor_data", "classification"]
BINARY = "application/octet-stream"
MAX_SAMPLES = 100
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
MODEL = "/v2/models/{name}"
MODEL_VERSION = "/v2/models/{name}/versions/{version}"

UNREADY = (Kind.NOT_READY,)
ABSENT = (Kind.UNKNOWN_MODEL, Kind.UNKNOWN_VERSION, *UNREADY)
BODY = (
    Kind.MALFORMED_JSON,
    Kind.UNKNOWN_FIELD,
    Kind.BROKEN_OFF,
    Kind.WRONG_ENCODING,
    Kind.BODY_TOO_LARGE,
    Kind.WRONG_CONTENT_TYPE,
)
PREDICT = (*BODY, *ABSENT, Kind.SLOW_BODY, Kind.WRONG_TENSOR, Kind.WRONG_VALUE, Kind.NO_RESULT, Kind.BUSY)
INFER = (*PREDICT, Kind.WRONG_BINARY)
SAMPLES = (Kind.UNKNOWN_ROUTE, Kind.WRONG_VALUE, *ABSENT)


class Live(msgspec.Struct):
    live: bool


class Ready(msgspec.Struct):
    ready: bool


class ModelReady(msgspec.Struct):
    name: str
    ready: bool


class ModelCard(msgspec.Struct):
    """A served version, for people: which bytes it is, how good it was, and a request to try."""

    model: str
    version: int
    summary: str
    digest: str
    metrics: dict[str, float]
    labels: list[str]
    curl: str
    """A command to paste, `{url}` standing for this server; empty when the model shows no samples."""


class Catalogue(msgspec.Struct):
    models: list[ModelCard]


class Samples(msgspec.Struct):
    """Held-out rows to try, with their true targets."""

    model: str
    version: int
    inputs: dict[str, list[Any]]
    targets: list[Any]
    labels: list[str]


class App:
    """The public pages over a shelf and its workers."""

    def __init__(self, shelf: Shelf, workers: Workers, meters: Meters) -> None:
        self._shelf, self._workers, self._meters = shelf, workers, meters
        self.stopping = False
        self.router = Router(self._routes())
        self._document = openapi(self.router.routes, title=NAME, version=VERSION)

    def _routes(self) -> list[Route]:
        limit = {"limit": f"how many, 1 to {MAX_SAMPLES}"}
        routes = [
            Route("GET", "/", self.page, "The models served here, and a request to try", "text/html"),
            Route("GET", "/openapi.json", self.document, "This document", JSON),
            Route("GET", "/problems/{slug}", self.problem, "What a problem's type means", "text/plain"),
            Route(
                "POST", "/v1/predict", self.predict, "Labels for rows", v1.PredictResponse, v1.PredictRequest, PREDICT
            ),
            Route("GET", "/v1/models", self.models, "The models served here", Catalogue),
            Route(
                "GET",
                "/v1/models/{name}/samples",
                self.samples,
                "Held-out rows to try",
                Samples,
                problems=SAMPLES,
                query=limit,
            ),
            Route("GET", "/v2", self.server, "The server and its protocol extensions", oip.ServerMetadata),
            Route("GET", "/v2/health/live", self.live, "Whether the process answers", Live),
            Route("GET", "/v2/health/ready", self.ready, "Whether every model is loaded", Ready, problems=UNREADY),
        ]
        for path, which in ((MODEL, "a model's default version"), (MODEL_VERSION, "one version of a model")):
            routes += [
                Route("GET", path, self.metadata, f"What {which} takes and gives", oip.ModelMetadata, problems=ABSENT),
                Route(
                    "GET", f"{path}/ready", self.model_ready, f"Whether {which} is loaded", ModelReady, problems=ABSENT
                ),
                Route(
                    "POST",
                    f"{path}/infer",
                    self.infer,
                    f"Inference on {which}",
                    oip.InferResponse,
                    oip.InferRequest,
                    INFER,
                ),
            ]
        return routes

    async def predict(self, request: Request) -> Response:
        _content_type(request, JSON)
        asked, name, version = v1.read(request.body)
        model = self._shelf.find(name, version)
        outputs = await self._run(model, v1.arrays(asked, model.signature))
        found = v1.predictions(outputs, model.signature)
        return answer(v1.PredictResponse(model.name, model.version, found, asked.id))

    async def infer(self, request: Request) -> Response:
        model = self._find(request)
        header_length = request.headers.get(oip.HEADER_LENGTH)
        _content_type(request, JSON, BINARY)
        call = oip.read(request.body, header_length, model.signature)
        outputs = await self._run(model, call.inputs)
        body, json_bytes = oip.write(
            call, outputs, model=model.name, version=model.version, labels=model.signature.labels
        )
        if json_bytes is None:
            return Response(body)
        return Response(body, content_type=BINARY, headers={oip.HEADER_LENGTH: str(json_bytes)})

    async def metadata(self, request: Request) -> Response:
        model = self._find(request)
        versions = [known.version for known in self._shelf.view.versions(model.name)]
        return answer(oip.metadata(model.name, versions, model.signature))

    async def model_ready(self, request: Request) -> Response:
        return answer(ModelReady(self._find(request).name, True))

    async def server(self, request: Request) -> Response:
        return answer(oip.ServerMetadata(NAME, VERSION, EXTENSIONS))

    async def live(self, request: Request) -> Response:
        return answer(Live(True))

    async def ready(self, request: Request) -> Response:
        if not self.is_ready:
            raise Problem(
                Kind.NOT_READY, "the server is stopping" if self.stopping else "models are still loading", ready=False
            )
        return answer(Ready(True))

    @property
    def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return self._shelf.ready and not self.stopping

    async def models(self, request: Request) -> Response:
        return answer(Catalogue(self._cards()))

    async def samples(self, request: Request) -> Response:
        model = self._find(request)
        if not model.manifest.samples_public:
            raise Problem(Kind.UNKNOWN_ROUTE, f"{model.name} shows no samples: its data is not declared public")
        text = request.one_of("limit", str(MAX_SAMPLES))
        limit = whole_number(text)
        if limit is None or not 1 <= limit <= MAX_SAMPLES:
            raise Problem(Kind.WRONG_VALUE, f"limit is a whole number from 1 to {MAX_SAMPLES}, not {text[:32]!r}")
        samples = model.samples
        return answer(
            Samples(
                model.name,
                model.version,
                {name: rows[:limit] for name, rows in samples.inputs.items()},
                samples.targets[:limit],
                list(model.signature.labels),
            )
        )

    async def page(self, request: Request) -> Response:
        host = request.headers.get("host", "")
        host = host if HOST.fullmatch(host) else "localhost"  # it ends in a command that people paste
        return Response(page.render(self._cards(), host).encode(), content_type="text/html; charset=utf-8")

    async def document(self, request: Request) -> Response:
        return Response(self._document)

    async def problem(self, request: Request) -> Response:
        for kind in Kind:
            if kind.slug == request.params["slug"]:
                return Response(f"{kind.title} ({kind.status})\n".encode(), content_type=TEXT)
        raise Problem(
            Kind.UNKNOWN_ROUTE, f"there is no such problem: there are {', '.join(kind.slug for kind in Kind)}"
        )

    def _find(self, request: Request) -> Model:
        return self._shelf.find(request.params["name"], request.params.get("version"))

    async def _run(self, model: Model, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs, seconds = await self._workers.infer(model, inputs)
        self._meters.inferred(model.name, model.version, len(next(iter(inputs.values()))), seconds)
        return outputs

    def _cards(self) -> list[ModelCard]:
        view = self._shelf.view
        return [_card(model) for name in view.names() for model in view.versions(name)]


def _card(model: Model) -> ModelCard:
    record, manifest = model.record, model.manifest
    finite = {name: value for name, value in record.metrics.items() if math.isfinite(value)}
    return ModelCard(
        record.model,
        record.version,
        manifest.summary,
        record.digest,
        finite,
        list(manifest.signature.labels),
        page.curl(manifest, model.samples),
    )


def _content_type(request: Request, *welcome: str) -> None:
    if request.content_type and request.content_type not in welcome:
        raise Problem(
            Kind.WRONG_CONTENT_TYPE,
            f"content-type {request.content_type[:80]!r} is not understood: send {' or '.join(welcome)}",
            headers={"accept-post": ", ".join(welcome)},
        )
