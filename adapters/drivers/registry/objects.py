"""A model registry in object storage: no server, the same on every cloud. docs/registry.md shows where things are kept.

registry = ObjectRegistry(connect(Settings.load()).storage)
made = registry.register("fraud", {"weights.safetensors": Path("weights.safetensors")}, metrics={"accuracy": 0.93})
registry.set_alias("fraud", "champion", made.version, expected=None)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from adapters.drivers.registry import download, names, search
from adapters.drivers.registry.blobs import Blobs
from adapters.drivers.registry.log import MODELS, ModelLog
from adapters.drivers.registry.records import AliasMoved, Change, Entry, Registered, TagsMerged
from adapters.drivers.registry.state import ModelState
from adapters.errors import Conflict, NotFound
from adapters.ports import Body, ModelVersion, ObjectStorage

T = TypeVar("T")

ANYWHERE = -1
"""As `expected`: move the alias wherever it points."""

MODELS_AT_ONCE = 16


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class ObjectRegistry:
    """`ports.ModelRegistry` over any `ObjectStorage`. An answer has all that was acknowledged before the question."""

    def __init__(
        self,
        storage: ObjectStorage,
        *,
        clock: Callable[[], datetime] = now,
        writer: str = "",
        patience_seconds: float = 30.0,
    ) -> None:
        """`writer` is on record with each change (empty: host and process). `patience_seconds` bounds lost races."""
        self._storage, self._blobs = storage, Blobs(storage)
        self._clock, self._writer, self._patience_seconds = clock, writer, patience_seconds
        self._logs: dict[str, ModelLog] = {}
        self._lock = threading.Lock()

    # -------------------------------------------------------------------------------------------------- writing

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
        checked = {
            "metrics": names.check_metrics(metrics),
            "params": names.check_texts("params", params),
            "lineage": names.check_texts("lineage", lineage),
            "tags": names.check_texts("tags", tags),
        }
        artifacts = tuple(self._blobs.store(name, files[name]) for name in sorted(files))
        log = self._log(model)
        _, made = log.change(lambda state: Registered(version=state.newest + 1, artifacts=artifacts, **checked))
        return log.recall(lambda state: state.version(made.version))

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None = ANYWHERE) -> int:
        names.check_alias(alias)

        def decide(state: ModelState) -> AliasMoved:
            was = state.aliases.get(alias)
            target = None if version is None else state.number(version)
            if expected != ANYWHERE and was != expected:
                raise Conflict(
                    f"the alias {_points(was)}, which is not the expected {expected}",
                    name=f"{model}@{alias}",
                    cure="read it again and decide again",
                )
            return AliasMoved(alias=alias, was=was, version=target)

        return self._change(model, decide)

    def set_tags(self, model: str, version: int, tags: Mapping[str, str | None]) -> int:
        checked = names.check_tag_changes(tags)
        return self._change(model, lambda state: TagsMerged(version=state.number(version), tags=checked))

    # -------------------------------------------------------------------------------------------------- reading

    def get(self, model: str, version: int | str) -> ModelVersion:
        return self._ask(model, lambda state: state.version(version))

    def versions(self, model: str) -> list[ModelVersion]:
        return self._ask(model, ModelState.versions)

    def epoch(self, model: str) -> int:
        return self._ask(model, lambda state: state.epoch)

    def models(self) -> list[str]:
        found, cursor = list[str](), None
        while True:
            page = self._storage.list(MODELS, delimiter="/", cursor=cursor)
            found += [folder.removeprefix(MODELS).rstrip("/") for folder in page.folders]
            if (cursor := page.cursor) is None:
                return sorted(name for name in found if names.MODEL.fullmatch(name))

    def search(self, expression: str = "") -> list[ModelVersion]:
        query = search.parse(expression)
        models = self.models() if query.models is None else sorted(set(self.models()) & query.models)
        found = [version for versions in self._all_versions(models) for version in versions if query.matches(version)]
        return sorted(found, key=lambda version: (version.created, version.model, version.version), reverse=True)

    def read(self, version: ModelVersion, name: str) -> bytes:
        for artifact in version.artifacts:
            if artifact.name == name:
                return self._blobs.read(artifact, label=download.label(version, artifact))
        known = ", ".join(artifact.name for artifact in version.artifacts)
        raise NotFound(f"no file {name!r} in version {version.version}", name=version.model, cure=f"it has {known}")

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Put all files of the version into `folder`, streamed and checked; it appears whole or not at all.

        A folder that holds just these files already is verified and kept. Raises Corrupt (nothing appears), NotFound,
        or Conflict when the folder holds anything else.
        """
        return download.download(self._blobs, version, folder)

    def history(self, model: str) -> Iterator[Entry]:
        """Every change of the model, oldest first, read anew, the chain of digests checked. Raises Corrupt."""
        self.epoch(model)
        return self._log(model).history()

    # ------------------------------------------------------------------------------------------------- the logs

    def _all_versions(self, models: Iterable[str]) -> Iterator[list[ModelVersion]]:
        with ThreadPoolExecutor(MODELS_AT_ONCE, thread_name_prefix="registry-search") as pool:
            yield from pool.map(lambda model: self._log(model).ask(ModelState.versions), models)

    def _log(self, model: str) -> ModelLog:
        with self._lock:
            if model not in self._logs:
                self._logs[model] = ModelLog(
                    self._storage,
                    names.check_model(model),
                    clock=self._clock,
                    writer=self._writer,
                    patience_seconds=self._patience_seconds,
                )
            return self._logs[model]

    def _ask(self, model: str, question: Callable[[ModelState], T]) -> T:
        def known(state: ModelState) -> T:
            return question(self._known(state))

        return self._log(model).ask(known)

    def _change(self, model: str, decide: Callable[[ModelState], Change]) -> int:
        epoch, _ = self._log(model).change(lambda state: decide(self._known(state)))
        return epoch

    def _known(self, state: ModelState) -> ModelState:
        if state.epoch:
            return state
        with self._lock:
            self._logs.pop(state.model, None)  # asking for names that are nobody's must not fill the memory
        raise NotFound("no such model", name=state.model, cure="models() lists those there are, register() makes one")


def _points(version: int | None) -> str:
    return "is not set" if version is None else f"points at version {version}"
