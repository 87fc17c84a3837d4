"""Installed tools and programs, made of a few small files."""

from __future__ import annotations

import json
from pathlib import Path


def receipt(folder: Path, **document: object) -> Path:
    """Make `folder` look installed, with this receipt."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "receipt.json").write_text(json.dumps(document))
    return folder


def program(path: Path, body: str = "exit 0") -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def names(folder: Path) -> list[str]:
    """What lies in `folder`, hidden or not."""
    return sorted(path.name for path in folder.iterdir())
