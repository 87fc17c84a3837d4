from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.providers.local import records
from tests.infra.engine import Project


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a project whose stack was initialised and nothing more."""
    return Project(tmp_path_factory.mktemp("template") / "p", "counting").root


@pytest.fixture
def project(tmp_path: Path, template: Path) -> Iterator[Project]:
    """A project with nothing in it."""
    yield from _project(tmp_path / "p", template)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Project]:
    """A project for the tests of one module, each of which brings up what it needs."""
    yield from _project(tmp_path_factory.mktemp("shared") / "p", template)


def _project(root: Path, template: Path) -> Iterator[Project]:
    made = Project(root, "counting", template=template)
    yield made
    records.reap(made.qualified, home=made.home)
    left = made.processes()
    for process in left:
        process.kill()
    assert not left, f"processes run that no record tells of: {left}"
