"""A cache of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that goes with the test; nothing here may touch the person's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ISTHMUS_CACHE", str(folder))
    monkeypatch.delenv("ISTHMUS_HOME", raising=False)
    return folder
