"""What the runtime's in-process tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters import Adapters, connect
from adapters.ports import ModelRegistry
from adapters.settings import Settings


@pytest.fixture
def platform() -> Iterator[Adapters]:
    """A whole cloud in this process."""
    with connect(Settings(cloud="memory")) as opened:
        yield opened


@pytest.fixture
def registry(platform: Adapters) -> ModelRegistry:
    return platform.registry
