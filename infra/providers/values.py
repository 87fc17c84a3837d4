"""Property values as handlers see them: plain Python, and one value that a preview does not know yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
Properties = dict[str, Any]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


class Unknown:
    """A value that a preview cannot know. There is one, `UNKNOWN`; it equals only itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """Wraps an output that must be encrypted in the state and hidden in every message."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


def strings_in(value: Any) -> Iterator[str]:
    """Every string inside `value`, however deep; keys are not values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings_in(item)


def has_unknown(value: Any) -> bool:
    """Whether any part of `value` is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def show(path: Path) -> str:
    """`path` as the engine writes property paths: `files["a.b"].lines[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += '["' + step.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    return text
