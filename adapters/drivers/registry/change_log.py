"""One model's changes in the one order that all readers see, and what they add up to; where they are kept is a subclass's."""

from __future__ import annotations

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypedDict, TypeVar

from adapters.drivers.registry.records import Change
from adapters.drivers.registry.state import ModelState
from adapters.errors import Transient

T = TypeVar("T")
Made = TypeVar("Made", bound=Change)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class LogOptions(TypedDict, total=False):
    """`writer` is on record with each change (empty: host and process). `patience_seconds` (30) bounds lost races."""

    clock: Callable[[], datetime]
    writer: str
    patience_seconds: float


class ChangeLog(ABC):
    """Reads a model's log forward and appends to it. Remembers what it has read: what is in the log never changes."""

    def __init__(
        self,
        model: str,
        *,
        clock: Callable[[], datetime] = now,
        writer: str = "",
        patience_seconds: float = 30.0,
    ) -> None:
        self.model = model
        self._clock, self._named_writer, self._patience_seconds = clock, writer, patience_seconds
        self._state = ModelState(model)
        self._folding = threading.Lock()  # guards the state and all that is read with it; never held during a request
        self._writing = threading.Lock()

    @abstractmethod
    def change(self, decide: Callable[[ModelState], Made]) -> tuple[int, Made]:
        """Append what `decide` makes of the newest state, asked again whenever another writer was first.

        Returns its epoch and the change. What `decide` raises passes through, with nothing changed. Raises Transient
        when others were first all the time.
        """

    @abstractmethod
    def _catch_up(self) -> None:
        """Read what others have appended. One request when nothing is new."""

    def ask(self, question: Callable[[ModelState], T]) -> T:
        """The answer of a state with every change acknowledged before this call."""
        self._catch_up()
        return self.recall(question)

    def recall(self, question: Callable[[ModelState], T]) -> T:
        """The answer of what was read so far: no request, and all of this process's own changes."""
        with self._folding:
            return question(self._state)

    @contextmanager
    def turn(self) -> Iterator[float]:
        """This process's writers take turns here rather than race through the server; yields when to give up."""
        deadline = time.monotonic() + self._patience_seconds
        if not self._writing.acquire(timeout=self._patience_seconds):
            raise self._crowded()
        try:
            yield deadline
        finally:
            self._writing.release()

    @property
    def _writer(self) -> str:
        return self._named_writer or f"{socket.gethostname()}:{os.getpid()}"

    def _time(self) -> datetime:
        """Of a change made now: a clock that is behind must not put an effect before its cause."""
        return max(self._clock(), self._state.time)

    def _crowded(self) -> Transient:
        return Transient(
            f"other writers were first for {self._patience_seconds:g} s; nothing was changed",
            name=self.model,
            cure="try again",
        )
