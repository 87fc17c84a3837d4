"""The model registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from adapters.ports.storage import Body


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a model version: its name inside the version, size and lower-case hexadecimal SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. All but `tags` and `aliases` never change. `version` counts from 1 per model."""

    model: str
    version: int
    artifacts: tuple[Artifact, ...]
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    lineage: Mapping[str, str]
    created: datetime
    digest: str
    """SHA-256 over the artifacts' names and digests: equal bytes have equal digests on every cloud."""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class ModelRegistry(Protocol):
    """Immutable versions of models, with aliases and tags that move. The vocabulary is MLflow's."""

    def register(
        self,
        model: str,
        files: Mapping[str, Body | Path],
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        lineage: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """A new version, the next number; visible only once all its files are stored. Concurrent callers get different ones."""
        ...

    def get(self, model: str, version: int | str) -> ModelVersion:
        """By number, or by alias as text. Raises NotFound, which names the aliases there are."""
        ...

    def read(self, version: ModelVersion, name: str) -> bytes:
        """One artifact, its digest verified. Raises Corrupt (naming model, version, file and both digests) or NotFound."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """All its files in `folder`, streamed and verified; it appears whole or not at all.

        Raises Corrupt, NotFound, or Conflict when the folder holds anything else.
        """
        ...

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first. Raises NotFound for an unknown model."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None = -1) -> int:
        """Point the alias at a version (None removes it) and return the change's epoch, which only grows per model.

        With `expected` (a number, or None for "not set") it is a compare-and-swap: Conflict unless that is where the
        alias points, and of several callers one wins. -1 takes whatever is there.
        """
        ...

    def set_tags(self, model: str, version: int, tags: Mapping[str, str | None]) -> int:
        """Merge the tags (None removes one); the change's epoch."""
        ...

    def search(self, expression: str = "") -> list[ModelVersion]:
        """Versions that match, such as `metrics.accuracy > 0.9 and tags.team = 'risk'`, newest first. Raises Invalid."""
        ...

    def epoch(self, model: str) -> int:
        """The number of the newest change: unchanged means nothing about the model changed. Raises NotFound."""
        ...
