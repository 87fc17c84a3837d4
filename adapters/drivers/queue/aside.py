"""A thread beside the caller's, for calls into a library that cannot be told how long they may take."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Aside:
    """Runs one call at a time in a daemon thread of its own, which starts with the first and ends with `stop`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running = 0

    def start(self, call: Callable[[], Any]) -> None:
        """Begin the call. It runs whenever the caller waits or is itself inside a library."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._running += 1
        self._calls.put(call)

    def answer(self, timeout_seconds: float) -> Any:
        """What the call that was started last returned. Raises what it raised, or TimeoutError: then it goes on running."""
        try:
            while True:
                result, error = self._answers.get(timeout=timeout_seconds)
                self._running -= 1
                if self._running == 0:
                    break
        except queue.Empty:
            raise TimeoutError from None
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._answers.put((call(), None))
            except BaseException as error:  # it is the caller's: `answer` raises it there
                self._answers.put((None, error))
