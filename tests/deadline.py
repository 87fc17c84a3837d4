"""Waiting for an event of another process, never longer than said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(event: Callable[[], T], *, seconds: float = 30.0, what: str = "the event") -> T:
    """The first truthy answer of `event`, asked every 20 ms. Raises TimeoutError, naming `what`, when the time is over."""
    deadline = time.monotonic() + seconds
    while not (answer := event()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return answer
