"""One model version from a registry to another, on whatever clouds the two are.

copy_model(onprem.registry, gcp.registry, "fraud", "champion", origin="onprem")
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol

from adapters.errors import Corrupt, NotFound
from adapters.ports import ModelRegistry, ModelVersion

COPIED_FROM = "copied_from"
"""Lineage of a copy: `<origin>:<model>/<version>`, then, after ` < `, where that one had come from."""


class Source(Protocol):
    """What is asked of the registry that is copied from."""

    def get(self, model: str, version: int | str) -> ModelVersion: ...
    def download(self, version: ModelVersion, folder: Path) -> Path: ...


def copy_model(source: Source, target: ModelRegistry, model: str, version: int | str, *, origin: str) -> ModelVersion:
    """The version in `target` with the same files, metrics, params, lineage and tags; made unless it is there already.

    `origin` names the source for people; it is put in the lineage with the source's number, and makes a second copy
    find the first. Aliases stay behind: which is champion is each registry's own decision. The files pass through a
    temporary folder, are checked on the way out and hashed on the way in. Raises NotFound or Corrupt.
    """
    found = source.get(model, version)
    earlier = found.lineage.get(COPIED_FROM)
    copied_from = f"{origin}:{model}/{found.version}" + (f" < {earlier}" if earlier else "")
    for there in _versions(target, model):
        if there.digest == found.digest and there.lineage.get(COPIED_FROM) == copied_from:
            return there
    with tempfile.TemporaryDirectory(prefix="isthmus-copy-") as name:
        folder = source.download(found, Path(name) / "files")
        made = target.register(
            model,
            {artifact.name: folder / artifact.name for artifact in found.artifacts},
            metrics=found.metrics,
            params=found.params,
            lineage={**found.lineage, COPIED_FROM: copied_from},
            tags=found.tags,
        )
    if made.digest != found.digest:
        raise Corrupt(
            f"the copy has digest {made.digest}, the original {found.digest}",
            name=f"{model} version {made.version}",
            cure="do not use it; check the disk of the temporary folder, and copy again",
        )
    return made


def _versions(registry: ModelRegistry, model: str) -> list[ModelVersion]:
    try:
        return registry.versions(model)
    except NotFound:
        return []
