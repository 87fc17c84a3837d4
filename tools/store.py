"""How a tool comes to lie in the cache: one process at a time, whole or not at all.

A tool is made in a hidden folder beside its place and renamed into it as the last act, so a folder that can be seen is
complete. The kernel drops the lock of a process that was killed, and the next holder of the lock finds what it left.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import folders
from tools.failure import SetupFailed

RECEIPT = "receipt.json"
LONGEST_WAIT_SECONDS = 3600.0
_POLL_SECONDS = 0.1
_REMIND_SECONDS = 4.0

# The descriptors of the locks this process holds, to be inherited by the programs it runs.
HELD: set[int] = set()


@contextmanager
def exclusive(name: str, purpose: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock `name` of this cache; a second process waits for the first and says for whom.

    Raises SetupFailed when the cache cannot be written to, or when the holder is not done within an hour.
    """
    path = folders.cache() / "locks" / f"{name}.lock"
    with writable(folders.cache()):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait_for(descriptor, name, say)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {purpose}".encode(), 0)
        HELD.add(descriptor)
        yield
    finally:
        HELD.discard(descriptor)
        os.close(descriptor)  # which also lets go of the lock


def _wait_for(descriptor: int, name: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    reminded = -_REMIND_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - started
        holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "another process"
        if waited > LONGEST_WAIT_SECONDS:
            raise SetupFailed(f"{name} has been locked for an hour by {holder}: end that process and run this again")
        if waited - reminded >= _REMIND_SECONDS:
            reminded = waited
            say(f"waiting for {holder} ({waited:.0f} s)")
        time.sleep(_POLL_SECONDS)


@contextmanager
def appearing(target: Path, *, resume: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends well; call it under the lock of that tool.

    With `resume` the folder keeps what an interrupted run left in it, and the caller checks what it finds. Without, a
    failure leaves nothing behind.
    """
    making = target.parent / f".{target.name}.partial"
    with writable(target.parent):
        if not resume:
            remove(making)
        making.mkdir(parents=True, exist_ok=True)
        try:
            yield making
        except BaseException:
            if not resume:
                remove(making)
            raise
        remove(target)
        making.rename(target)


def remove(folder: Path) -> int:
    """Delete a folder and all in it, so that no half-deleted one is ever found under its name; count freed bytes."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    freed = size_bytes(folder)
    doomed = folder.parent / f".{folder.name.lstrip('.')}-{os.getpid()}.doomed"
    folder.rename(doomed)
    shutil.rmtree(doomed)
    return freed


def sweep(parent: Path, name: str) -> None:
    """Delete what killed deletions of `name` left in `parent`; call it under the lock of that tool."""
    for leftover in parent.glob(f".{name.lstrip('.')}-*.doomed"):
        shutil.rmtree(leftover, ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """How much deleting this folder gives back: a file that is linked from elsewhere too counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            about = Path(place, name).lstat()
            total += about.st_size if about.st_nlink == 1 else 0
    return total


def write_text(path: Path, text: str) -> None:
    """Store a small file, whole or not at all."""
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Store a small document, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The document at `path`, or None where there is none or it cannot be read as one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Tell a full disk, a read-only file system, a folder of somebody else's and the like in one sentence each."""
    try:
        yield
    except OSError as error:
        raise SetupFailed(_sentence(error, folder)) from error


def _sentence(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk that holds {folder} is full: make room there and run this again"
    ours = folder.is_relative_to(folders.cache())
    cure = "set ISTHMUS_CACHE to a folder that can be written to" if ours else "correct that"
    return f"{folder} cannot be used ({error.strerror}: {error.filename}): {cure} and run this again"
