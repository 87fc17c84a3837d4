"""A model registry in object storage: no server, the same on every cloud. docs/registry.md shows where things are kept.

registry = ObjectRegistry(connect(Settings.load()).storage)
made = registry.register("fraud", {"weights.safetensors": Path("weights.safetensors")}, metrics={"accuracy": 0.93})
registry.set_alias("fraud", "champion", made.version, expected=None)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from adapters.drivers.registry import names
from adapters.drivers.registry.log import MODELS, ModelLog
from adapters.drivers.registry.logged import LoggedRegistry, now
from adapters.drivers.registry.records import Entry, Registered
from adapters.ports import Body, ModelVersion, ObjectStorage


class ObjectRegistry(LoggedRegistry[ModelLog]):
    """`ports.ModelRegistry` over any `ObjectStorage`."""

    def __init__(
        self,
        storage: ObjectStorage,
        *,
        clock: Callable[[], datetime] = now,
        writer: str = "",
        patience_seconds: float = 30.0,
    ) -> None:
        """`writer` is on record with each change (empty: host and process). `patience_seconds` bounds lost races."""
        super().__init__(storage)
        self._clock, self._writer, self._patience_seconds = clock, writer, patience_seconds

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
        """A new version, also for files that a version has already: `digest = '...'` finds that one beforehand."""
        names.check_model(model)
        names.check_files(files)
        facts = names.check_facts(metrics=metrics, params=params, lineage=lineage, tags=tags)
        artifacts = tuple(self._blobs.store(name, files[name]) for name in sorted(files))
        log = self._log(model)
        _, made = log.change(lambda state: Registered(version=state.newest + 1, artifacts=artifacts, **facts))
        return log.recall(lambda state: state.version(made.version))

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
        return ModelLog(
            self._storage,
            names.check_model(model),
            clock=self._clock,
            writer=self._writer,
            patience_seconds=self._patience_seconds,
        )
