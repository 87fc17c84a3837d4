"""File locks that the kernel drops when their holder dies, waited for no longer than said."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.errors import DeadlineExceeded

POLL_SECONDS = 0.01


@contextmanager
def hold(
    path: Path, *, seconds: float, shared: bool = False, unless: Callable[[], bool] = lambda: False
) -> Iterator[int | None]:
    """The descriptor of the locked file, None where others held it for all this time. Locks exclude threads too.

    Once `unless` is true it is not waited for any longer, and the descriptor is that of a file which may not be locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    try:
        yield descriptor if wait_for(lambda: unless() or _try(descriptor, how), seconds=seconds) else None
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, seconds: float, name: str) -> Iterator[None]:
    """Alone in the block. Raises DeadlineExceeded, naming `name`, where others were for all this time."""
    with hold(path, seconds=seconds) as descriptor:
        if descriptor is None:
            raise DeadlineExceeded(f"another launcher has been at it for {seconds:g} s", name=name)
        yield


def wait_for(event: Callable[[], bool], *, seconds: float) -> bool:
    """Whether it came in this time; asked at least once, then every 10 ms."""
    deadline = time.monotonic() + seconds
    while not event():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True
