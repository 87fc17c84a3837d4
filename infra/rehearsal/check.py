"""Whether a resource's inputs fit the vendor's own schema: every mistake at once, each with its place and a near miss."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from infra.providers.base import Failure, failure
from infra.providers.values import UNKNOWN, Path, Properties
from infra.rehearsal.schema import Library, Property, Shape

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "list": (list,),
    "map": (Mapping,),
    "object": (Mapping,),
}


def mistakes(library: Library, token: str, inputs: Properties) -> list[Failure]:
    """What is wrong with the inputs of a resource of type `token`; what a preview does not know yet is passed over."""
    return [failure(path, reason) for path, reason in _object(library, token, library.type(token).inputs, inputs, ())]


def _object(
    library: Library, token: str, known: Mapping[str, Property], given: Mapping[str, Any], at: Path
) -> Iterator[tuple[Path, str]]:
    for name in sorted(given.keys() - known.keys()):
        if given[name] is not None and not name.startswith("__"):
            close = difflib.get_close_matches(name, known, n=1)
            yield (*at, name), f"is not an input{f'; did you mean {close[0]!r}?' if close else ''}"
    for name, told in known.items():
        value = given.get(name)
        if value is None:
            if told.required:
                yield (*at, name), "is required"
            continue
        yield from _value(library, token, told.shape, value, (*at, name))
        if told.values and isinstance(value, str) and value not in told.values:
            yield (*at, name), f"is {value!r}; expected one of {', '.join(told.values)}"


def _value(library: Library, token: str, shape: Shape, value: Any, at: Path) -> Iterator[tuple[Path, str]]:
    if value is UNKNOWN or value is None or shape.kind == "any":
        return
    if not _fits(shape.kind, value):
        yield at, f"expected {shape.kind}, got {type(value).__name__} {value!r}"
    elif shape.kind == "object":
        yield from _object(library, token, library.object(token, shape.name), value, at)
    elif shape.item is not None:
        for key, item in value.items() if shape.kind == "map" else enumerate(value):
            yield from _value(library, token, shape.item, item, (*at, key))


def _fits(kind: str, value: Any) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _PYTHON[kind]) or _convertible(kind, value)


def _convertible(kind: str, value: Any) -> bool:
    """The bridged providers take `"3"` for 3 and `3` for `"3"`, and so does a rehearsal."""
    if kind == "string":
        return isinstance(value, int | float)
    if kind == "boolean":
        return value in ("true", "false")
    if kind in ("integer", "number") and isinstance(value, str):
        return value.removeprefix("-").replace(".", "", kind == "number").isdecimal()
    return False
