"""The three folders that everything is found from: the checkout, the person's cache, and the local platform's home."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def checkout() -> Path:
    """The root of this checkout: the folder that holds `tools/`."""
    return Path(__file__).resolve().parent.parent


def cache() -> Path:
    """The per-user cache: `$ISTHMUS_CACHE`, else the platform's own place for caches. It may not exist yet."""
    chosen = os.environ.get("ISTHMUS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "isthmus"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "isthmus"


def home() -> Path:
    """What the local platform keeps, its state, records, logs and data: `$ISTHMUS_HOME`, else `home/` in the cache."""
    chosen = os.environ.get("ISTHMUS_HOME")
    return Path(chosen).expanduser().absolute() if chosen else cache() / "home"


def installed() -> Path:
    """Where the tools lie, one folder for each tool and version."""
    return cache() / "tools"
