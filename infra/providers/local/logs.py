"""A process's log file: bounded at each start, readable by nobody else, quoted without secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LIMIT_BYTES = 10 * 1024 * 1024
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 15


def rotate(log: Path) -> int:
    """Move a log past the limit aside, replacing the one before; returns where new output will begin, in bytes."""
    if not log.exists():
        return 0
    size = log.stat().st_size
    if size <= LIMIT_BYTES:
        return size
    log.replace(log.with_name(log.name + ".1"))
    return 0


@contextmanager
def opened(log: Path) -> Iterator[IO[bytes]]:
    """The log, to append to."""
    handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as stream:
        yield stream


def since(log: Path, offset: int) -> str:
    """What was written after `offset`; bytes that are not UTF-8 are replaced."""
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            return stream.read(LIMIT_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def tail(log: Path, offset: int, secrets: Iterable[str]) -> str:
    """The last lines written after `offset`, with `secrets` blotted out."""
    size = log.stat().st_size if log.exists() else 0
    text = since(log, max(offset, size - _TAIL_BYTES))
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    lines = text.rstrip().splitlines()[-_TAIL_LINES:]
    return "\n".join(lines) if lines else "(nothing)"
