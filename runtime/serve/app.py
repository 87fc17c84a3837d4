"""The public routes: what each page takes, does and gives. Bytes in, bytes out; the models are on the shelf."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from runtime.domain.problems import Kind, Problem
from runtime.serve import oip, page, predict
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
    example: dict[str, Any]


class Catalogue(msgspec.Struct):
    models: list[ModelCard]


class SamplesPage(msgspec.Struct):
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
        tensor = (Kind.MALFORMED_JSON, Kind.UNKNOWN_FIELD, Kind.WRONG_TENSOR, Kind.WRONG_VALUE, Kind.WRONG_ENCODING)
        body = (*tensor, Kind.BODY_TOO_LARGE, Kind.WRONG_CONTENT_TYPE, Kind.SLOW_BODY, Kind.NO_RESULT, Kind.BUSY)
        absent = (Kind.UNKNOWN_MODEL, Kind.UNKNOWN_VERSION, Kind.NOT_READY)
        infer = {
            "takes": oip.InferRequest,
            "answers": oip.InferResponse,
            "problems": (*body, Kind.WRONG_BINARY, *absent),
        }
        card = {"answers": oip.ModelMetadata, "problems": absent}
        ready = {"answers": ModelReady, "problems": absent}
        self.router = Router(
            [
                Route("GET", "/", self.page, "The models served here, and a request to try", "text/html"),
                Route("GET", "/openapi.json", self.document, "This document", JSON),
                Route("GET", "/problems/{slug}", self.problem, "What a problem's type means", "text/plain"),
                Route(
                    "POST", "/v1/predict", self.predict, "Labels and scores for rows",
                    predict.PredictResponse, predict.PredictRequest, (*body, *absent),
                ),
                Route("GET", "/v1/models", self.models, "The models served here", Catalogue),
                Route(
                    "GET", "/v1/models/{name}/samples", self.samples, "Held-out rows to try, of models whose data is public",
                    SamplesPage, problems=(Kind.UNKNOWN_ROUTE, *absent), query={"limit": f"how many, 1 to {MAX_SAMPLES}"},
                ),
                Route("GET", "/v2", self.server, "The server and the protocol's extensions it knows", oip.ServerMetadata),
                Route("GET", "/v2/health/live", self.live, "Whether the process answers", Live),
                Route("GET", "/v2/health/ready", self.ready, "Whether every model is loaded", Ready, problems=(Kind.NOT_READY,)),
                Route("GET", "/v2/models/{name}", self.metadata, "What a model takes and gives", **card),
                Route("GET", "/v2/models/{name}/ready", self.model_ready, "Whether a model is loaded", **ready),
                Route("POST", "/v2/models/{name}/infer", self.infer, "Inference, in JSON or with binary tensors", **infer),
                Route("GET", "/v2/models/{name}/versions/{version}", self.metadata, "What a version takes and gives", **card),
                Route("GET", "/v2/models/{name}/versions/{version}/ready", self.model_ready, "Whether a version is loaded", **ready),
                Route("POST", "/v2/models/{name}/versions/{version}/infer", self.infer, "Inference on one version", **infer),
            ]
        )  # fmt: skip
        self._document = openapi(self.router.routes, title=NAME, version=VERSION)

    async def predict(self, request: Request) -> Response:
        _content_type(request, JSON)
        asked, name, version = predict.read(request.body)
        model = self._shelf.find(name, version)
        outputs = await self._run(model, predict.arrays(asked, model.signature))
        found = predict.predictions(outputs, model.signature)
        return answer(predict.PredictResponse(model.name, model.version, found, asked.id))

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
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_SAMPLES):
            raise Problem(Kind.WRONG_VALUE, f"limit is a whole number from 1 to {MAX_SAMPLES}, not {text[:32]!r}")
        limit, samples = int(text), model.samples
        return answer(
            SamplesPage(
                model.name,
                model.version,
                {name: rows[:limit] for name, rows in samples.inputs.items()},
                samples.targets[:limit],
                list(model.signature.labels),
            )
        )

    async def page(self, request: Request) -> Response:
        host = request.headers.get("host", "localhost")
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

    async def _run(self, model: Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs, seconds = await self._workers.infer(model, inputs)
        self._meters.inferred(model.name, model.version, len(next(iter(inputs.values()))), seconds)
        return outputs

    def _cards(self) -> list[ModelCard]:
        view = self._shelf.view
        return [_card(model) for name in view.names() for model in view.versions(name)]


def _card(model: Model) -> ModelCard:
    record, manifest = model.record, model.manifest
    example: dict[str, Any] = {"model": record.model}
    if manifest.samples_public:
        rows = {name: rows[:1] for name, rows in model.samples.inputs.items()}
        example["inputs"] = next(iter(rows.values())) if len(rows) == 1 else rows
    finite = {name: value for name, value in record.metrics.items() if math.isfinite(value)}
    return ModelCard(
        record.model, record.version, manifest.summary, record.digest, finite,
        list(manifest.signature.labels), example,
    )  # fmt: skip


def _content_type(request: Request, *welcome: str) -> None:
    if request.content_type and request.content_type not in welcome:
        raise Problem(
            Kind.WRONG_CONTENT_TYPE,
            f"content-type {request.content_type[:80]!r} is not understood: send {' or '.join(welcome)}",
            headers={"accept-post": ", ".join(welcome)},
        )
