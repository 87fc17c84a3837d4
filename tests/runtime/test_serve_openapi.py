"""The OpenAPI document is valid, covers every route, and the answers are what it says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.runtime.test_serve_app import GOOD, JSON, caller


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(caller().ask("GET", "/openapi.json").body)


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_is_in_the_document_and_nothing_else(document: dict[str, Any]) -> None:
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(route.method, route.template) for route in caller().edge._router.routes}


def test_operation_names_are_unique(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("template", "path", "body"),
    [
        ("/v1/predict", "/v1/predict", GOOD),
        ("/v1/models", "/v1/models", None),
        ("/v1/models/{name}/samples", "/v1/models/sign/samples", None),
        ("/v2", "/v2", None),
        ("/v2/health/live", "/v2/health/live", None),
        ("/v2/health/ready", "/v2/health/ready", None),
        ("/v2/models/{name}", "/v2/models/sign", None),
        ("/v2/models/{name}/ready", "/v2/models/sign/ready", None),
        (
            "/v2/models/{name}/infer",
            "/v2/models/sign/infer",
            b'{"inputs": [{"name": "row", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}',
        ),
        ("/v2/models/{name}", "/v2/models/unknown", None),
        ("/v1/predict", "/v1/predict", b"{"),
    ],
)
def test_an_answer_is_what_the_document_says(
    document: dict[str, Any], template: str, path: str, body: bytes | None
) -> None:
    method = "GET" if body is None else "POST"
    answer = caller().ask(method, path, *([body] if body else []), headers=JSON if body else {})
    described = document["paths"][template][method.lower()]["responses"][str(answer.status)]
    (schema,) = [content["schema"] for content in described["content"].values()]
    assert answer.headers["content-type"] in described["content"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


def test_a_request_that_the_document_refuses_is_refused_by_the_server(document: dict[str, Any]) -> None:
    schema = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    for wrong in (
        {"inputs": [[1, 2]]},
        {"model": 3, "inputs": [[1, 2]]},
        {"model": "sign", "inputs": [[1, 2]], "x": 1},
    ):
        assert not validator.is_valid(wrong)
        assert caller().post("/v1/predict", wrong).status == 400
