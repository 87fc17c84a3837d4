"""Calls into a library that cannot be told how long they may take."""

from __future__ import annotations

import threading
from collections.abc import Callable


def finishes(call: Callable[[], object], timeout_seconds: float, *, name: str) -> bool:
    """Whether the call ends within the time. Where not, it goes on in a daemon thread, and nobody waits for it."""
    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return not thread.is_alive()
