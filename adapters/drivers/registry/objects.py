"""A model registry in object storage: no server, the same on every cloud. docs/registry.md shows where things are kept.

registry = ObjectRegistry(connect(Settings.load()).storage)
made = registry.register("fraud", {"weights.safetensors": Path("weights.safetensors")}, metrics={"accuracy": 0.93})
registry.set_alias("fraud", "champion", made.version, expected=None)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.drivers.registry import names
from adapters.drivers.registry.log import MODELS, ModelLog
from adapters.drivers.registry.logged import LoggedRegistry
from adapters.drivers.registry.records import Entry, Registered
from adapters.ports import Artifact, ModelVersion


class ObjectRegistry(LoggedRegistry[ModelLog]):
    """`ports.ModelRegistry` over any `ObjectStorage`."""

    def models(self) -> list[str]:
        found, cursor = list[str](), None
        while True:
            page = self._storage.list(MODELS, delimiter="/", cursor=cursor)
            found += [folder.removeprefix(MODELS).rstrip("/") for folder in page.folders]
            if (cursor := page.cursor) is None:
                return sorted(name for name in found if names.MODEL.fullmatch(name))

    def history(self, model: str) -> Iterator[Entry]:
        """Every change of the model, oldest first, read anew, the chain of digests checked. Raises Corrupt."""
        self.epoch(model)
        return self._log(model).history()

    def _open_log(self, model: str) -> ModelLog:
        return ModelLog(self._storage, names.check_model(model), **self._options)

    def _add(self, log: ModelLog, artifacts: tuple[Artifact, ...], facts: Mapping[str, Any]) -> ModelVersion:
        _, made = log.change(lambda state: Registered(version=state.newest + 1, artifacts=artifacts, **facts))
        return log.recall(lambda state: state.version(made.version))
