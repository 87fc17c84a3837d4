"""One command at a time may change the local platform; the second says whom it waits for, then takes its turn."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tools
from cli.failure import Failure


@contextmanager
def turn(doing: str, *, wait_seconds: float = 600.0, say: Callable[[str], None] = print) -> Iterator[None]:
    """Hold the home's lock for the block; a holder that dies lets go of it by itself.

    Raises Failure, naming the holder, when it is not free after `wait_seconds`.
    """
    path = tools.home() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        deadline, told = time.monotonic() + wait_seconds, False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another command"
                if time.monotonic() > deadline:
                    raise Failure(f"{holder} has held the platform for more than {wait_seconds:g} s") from None
                if not told:
                    say(f"waiting for {holder}")
                    told = True
                time.sleep(0.1)
        file.seek(0)
        file.truncate()
        file.write(f"`{doing}` (process {os.getpid()})")
        file.flush()
        yield
        file.seek(0)
        file.truncate()
