"""What was asked of a rehearsed cloud, line by line on disk; what there is now is what the lines add up to.

The journal outlives the plugin process and the engine, as a cloud does: a create whose answer was lost is still there.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Verb = Literal["create", "update", "delete", "drift", "refused"]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call. `inputs` and `outputs` are what the resource has after it."""

    verb: Verb
    type: str
    id: str
    urn: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    serial: int = 0
    """Of a creation: how many there were of this URN before it."""
    why: str = ""
    """Of a refusal."""


class Thing(msgspec.Struct, frozen=True):
    """A resource that exists in the rehearsed cloud."""

    type: str
    id: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    serial: int = 0


class Journal:
    """One file, appended by one plugin process at a time. Safe for use by its threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._things: dict[tuple[str, str], Thing] = {}
        self._created: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._appended = False
        for line in read(path):
            self._apply(line)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes anything within the block."""
        with self._lock:
            yield

    def write(self, line: Line) -> None:
        """Append a line; once this returns it outlives this process, however that ends."""
        with self._lock:
            if not self._appended:
                self._appended = True
                _drop_cut_line(self.path)  # only who writes may: a reader would take the line that is being written
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
            self._apply(line)

    def find(self, type: str, id: str) -> Thing | None:
        """The resource of this type and id, if it exists."""
        with self._lock:
            return self._things.get((type, id))

    def created(self, urn: str) -> int:
        """How often a resource of this URN was created, the ones that are gone included."""
        with self._lock:
            return self._created[urn]

    def things(self) -> list[Thing]:
        """All that exists, oldest first."""
        with self._lock:
            return [*self._things.values()]

    def _apply(self, line: Line) -> None:
        key = (line.type, line.id)
        if line.verb == "delete":
            self._things.pop(key, None)
        elif line.verb in ("create", "update", "drift"):
            self._created[line.urn] += line.verb == "create"
            self._things[key] = Thing(line.type, line.id, line.urn, line.inputs, line.outputs, line.serial)


def _drop_cut_line(path: Path) -> None:
    if path.exists() and not (raw := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(raw[: raw.rfind(b"\n") + 1])


def read(path: Path) -> Iterator[Line]:
    """The lines of a journal, oldest first. A last one that a kill cut short was never answered, and is left out."""
    if not path.exists():
        return
    for raw in path.read_bytes().split(b"\n")[:-1]:
        yield msgspec.json.decode(raw, type=Line)
