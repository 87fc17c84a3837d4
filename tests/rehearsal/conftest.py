"""A project whose AWS is rehearsed: the real engine, the vendor's real SDK, no account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.rehearsal.journal import Journal
from tests.infra.engine import ROOT, Project


@dataclass
class Rehearsal:
    """The project, and the cloud as it is behind the engine's back."""

    project: Project
    folder: Path

    def write(self, program: str) -> None:
        """Make this the program; `aws` and `pulumi` are imported."""
        self.project.write(f"import pulumi_aws as aws\n{program}")

    def cloud(self) -> Journal:
        """What there is in the rehearsed cloud now."""
        return Journal(self.folder / "aws.jsonl")

    def plan_fault(self, fault: str) -> None:
        """What goes wrong in the next commands, such as `fail@3`; empty for nothing."""
        self.project.env["ISTHMUS_REHEARSAL_FAULT"] = fault


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Project(tmp_path_factory.mktemp("template") / "p", "rehearsed").root


@pytest.fixture
def rehearsal(tmp_path: Path, template: Path) -> Iterator[Rehearsal]:
    project = Project(tmp_path / "p", "rehearsed", template=template)
    project.env["PATH"] = f"{ROOT / 'tools' / 'rehearsal'}:{project.env['PATH']}"
    project.env["ISTHMUS_REHEARSAL"] = str(tmp_path / "rehearsal")
    yield Rehearsal(project, tmp_path / "rehearsal")
