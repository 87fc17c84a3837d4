"""The deadline of the operation that a thread is about, for whatever beneath it waits."""

from __future__ import annotations

import threading
import time
from types import TracebackType

_thread = threading.local()


class bounded:
    """`with bounded(deadline):` lets no read or write of this thread's connections wait past `deadline` (monotonic).

    Inside another one the earlier deadline holds. What takes notice is the connections of `sockets`.
    """

    __slots__ = ("_deadline", "_outer")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __enter__(self) -> None:
        self._outer: float | None = getattr(_thread, "deadline", None)
        _thread.deadline = self._deadline if self._outer is None else min(self._outer, self._deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.deadline = self._outer


def seconds_left() -> float | None:
    """Until this thread's deadline; None without one. Raises TimeoutError once it has passed."""
    deadline: float | None = getattr(_thread, "deadline", None)
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the operation's deadline has passed")
    return left
