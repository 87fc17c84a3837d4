"""What the registries have in common: a model is a log of changes, the log adds up to a state, questions go to that."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack

from adapters.drivers.registry import download, names, search
from adapters.drivers.registry.blobs import Blobs
from adapters.drivers.registry.change_log import ChangeLog, LogOptions
from adapters.drivers.registry.records import AliasMoved, Change, TagsMerged
from adapters.drivers.registry.state import ModelState
from adapters.errors import NotFound
from adapters.ports import Artifact, Body, ModelVersion, ObjectStorage

T = TypeVar("T")
Log = TypeVar("Log", bound=ChangeLog)

ANYWHERE = -1
"""As `expected`: move the alias wherever it points."""

MODELS_AT_ONCE = 16


class LoggedRegistry(ABC, Generic[Log]):
    """`ports.ModelRegistry` but for `models`. An answer has all that was acknowledged before the question."""

    def __init__(self, storage: ObjectStorage, **options: Unpack[LogOptions]) -> None:
        """The options go to the log of each model."""
        self._storage, self._blobs, self._options = storage, Blobs(storage), options
        self._logs: dict[str, Log] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _open_log(self, model: str) -> Log:
        """The model's log, to be opened once. Raises Invalid for what is not a name."""

    @abstractmethod
    def _add(self, log: Log, artifacts: tuple[Artifact, ...], facts: Mapping[str, Any]) -> ModelVersion:
        """Make the next version of these stored files, whole or not at all."""

    @abstractmethod
    def models(self) -> list[str]: ...

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
        log = self._log(model)
        names.check_files(files)
        facts = names.check_facts(metrics=metrics, params=params, lineage=lineage, tags=tags)
        return self._add(log, tuple(self._blobs.store(name, files[name]) for name in sorted(files)), facts)

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None = ANYWHERE) -> int:
        names.check_alias(alias)

        def decide(state: ModelState) -> AliasMoved:
            target = None if version is None else state.number(version)
            if expected != ANYWHERE:
                state.expect(alias, expected)
            return AliasMoved(alias=alias, was=state.aliases.get(alias), version=target)

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

    def search(self, expression: str = "") -> list[ModelVersion]:
        query = search.parse(expression)
        models = self.models() if query.models is None else sorted(set(self.models()) & query.models)
        found = [version for versions in self._all_versions(models) for version in versions if query.matches(version)]
        return sorted(found, key=lambda version: (version.created, version.model, version.version), reverse=True)

    def read(self, version: ModelVersion, name: str) -> bytes:
        return download.read(self._blobs, version, name)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Put all files of the version into `folder`, streamed and checked; it appears whole or not at all.

        A folder that holds just these files already is verified and kept. Raises Corrupt (nothing appears), NotFound,
        or Conflict when the folder holds anything else.
        """
        return download.download(self._blobs, version, folder)

    # ------------------------------------------------------------------------------------------------- the logs

    def _all_versions(self, models: Iterable[str]) -> Iterator[list[ModelVersion]]:
        with ThreadPoolExecutor(MODELS_AT_ONCE, thread_name_prefix="registry-search") as pool:
            yield from pool.map(lambda model: self._log(model).ask(ModelState.versions), models)

    def _log(self, model: str) -> Log:
        with self._lock:
            if model not in self._logs:
                self._logs[model] = self._open_log(model)
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
