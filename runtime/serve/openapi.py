"""The OpenAPI 3.1 document, made from the table of routes and the messages' own types: it cannot fall behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from runtime.domain.problems import Kind
from runtime.serve.router import Route

PROBLEM = "application/problem+json"
REFERENCES = "#/components/schemas/{name}"


class ProblemDocument(msgspec.Struct):
    """Problem details (RFC 9457). `error` repeats `detail` for clients of the Open Inference Protocol."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str


def openapi(routes: Sequence[Route], *, title: str, version: str) -> bytes:
    """The document as JSON."""
    types = [
        *{kind: None for route in routes for kind in (route.takes, route.answers) if _is_type(kind)},
        ProblemDocument,
    ]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCES)
    known = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, known)
    document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components},
    }
    return msgspec.json.encode(document)


def _operation(route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method}_{route.template}").strip("_").lower(),
        "summary": route.summary,
        "responses": {"200": _success(route, known), **_problems(route.problems)},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.template)
    ] + [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in (route.query or {}).items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": known[route.takes]}}}
    return operation


def _success(route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    if route.answers is None:
        return {"description": "Done"}
    if _is_type(route.answers):
        return {"description": "Done", "content": {"application/json": {"schema": known[route.answers]}}}
    return {"description": "Done", "content": {route.answers: {}}}


def _problems(kinds: Iterable[Kind]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind.title)
    schema = {"$ref": REFERENCES.format(name=ProblemDocument.__name__)}
    return {
        str(status): {"description": "; ".join(titles), "content": {PROBLEM: {"schema": schema}}}
        for status, titles in sorted(by_status.items())
    }


def _is_type(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
