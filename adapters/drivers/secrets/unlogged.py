"""The vendors' SDKs log whole answers at DEBUG. An answer that holds a secret must not be logged at any level."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

_thread = threading.local()


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_thread, "secret", False)


_SILENCE = _Silence()


def guard(*loggers: str) -> None:
    """Let these loggers drop what a thread says inside `unlogged`. Filters do not reach child loggers: name each."""
    for name in loggers:
        logging.getLogger(name).addFilter(_SILENCE)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """While this thread is inside, the guarded loggers take nothing from it."""
    _thread.secret = True
    try:
        yield
    finally:
        _thread.secret = False
