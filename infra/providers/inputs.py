"""Checking inputs against a msgspec Struct, property by property, so that every mistake is told at once."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec

from infra.providers.base import Checked, Failure, failure
from infra.providers.values import Properties, has_unknown

T = TypeVar("T", bound=msgspec.Struct)
_AT_PATH = re.compile(r" - at `\$(?P<path>.*)`$")


def check_inputs(kind: type[msgspec.Struct], news: Properties) -> Checked:
    """`news` with the defaults of `kind` filled in, or what is wrong with each property.

    A property that holds something unknown is left as it is: it is checked again once it is known.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    failures = [_unknown_name(name, list(fields)) for name in news if name not in fields]
    checked: Properties = {}
    for name, field in fields.items():
        if news.get(name) is None:
            if field.required:
                failures.append(Failure(name, "is required"))
            else:
                checked[name] = msgspec.to_builtins(_default(field))
        elif has_unknown(news[name]):
            checked[name] = news[name]
        else:
            try:
                checked[name] = msgspec.to_builtins(msgspec.convert(news[name], field.type))
            except msgspec.ValidationError as error:
                failures.append(_mistyped(name, error))
    return Checked(checked if not failures else news, failures)


def parse(kind: type[T], checked: Properties) -> T:
    """The typed form of inputs that `check_inputs` let through; nothing in them may be unknown."""
    return msgspec.convert({name: value for name, value in checked.items() if value is not None}, kind)


def _unknown_name(name: str, known: list[str]) -> Failure:
    close = difflib.get_close_matches(name, known, n=1)
    return Failure(name, f"is not an input{f'; did you mean {close[0]!r}?' if close else ''}")


def _mistyped(name: str, error: msgspec.ValidationError) -> Failure:
    message = str(error)
    found = _AT_PATH.search(message)
    path = name + (found["path"] if found else "")
    return failure(path, _AT_PATH.sub("", message).lower())


def field_names(kind: type[msgspec.Struct]) -> list[str]:
    """The names of the inputs of `kind`, in their order."""
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def known(checked: Properties, name: str, otherwise: Any) -> Any:
    """The input `name`, or `otherwise` while a preview does not know it."""
    value = checked.get(name)
    return otherwise if value is None or has_unknown(value) else value


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default
