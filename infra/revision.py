"""Which code a process runs: a digest that changes when it does, as an image's would."""

from __future__ import annotations

import hashlib
from functools import cache

import tools

FOLDERS = ("adapters", "runtime")
LOCK = "locks/runtime.txt"


@cache
def revision() -> str:
    """Twelve hexadecimal digits over the names and contents of the runtime's sources and its lock."""
    root = tools.checkout()
    files = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    digest = hashlib.sha256()
    for path in [*files, root / LOCK]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
