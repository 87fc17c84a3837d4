"""A platform of the test session's own, with both bundled models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.runtime.processes import Platform, Server, new_platform

MODELS = ("digits", "tumor")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Storage with both bundled models trained and champion."""
    with new_platform(tmp_path_factory.mktemp("platform")) as made:
        made.run("runtime.train.main", *MODELS, "--json")
        yield made


@pytest.fixture
def empty_platform(tmp_path: Path) -> Iterator[Platform]:
    """Storage without a model."""
    with new_platform(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def server(platform: Platform) -> Iterator[Server]:
    """Both models, served by a real process."""
    with platform.serving("--models", ",".join(MODELS)) as running:
        yield running
