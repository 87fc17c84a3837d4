"""What the registries have in common: a model is a log of changes, the log adds up to a state, questions go to that."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from adapters.drivers.registry import download, names, search
from adapters.drivers.registry.blobs import Blobs
from adapters.drivers.registry.records import AliasMoved, Change, TagsMerged
from adapters.drivers.registry.state import ModelState
from adapters.errors import NotFound
from adapters.ports import ModelVersion, ObjectStorage

T = TypeVar("T")
Made = TypeVar("Made", bound=Change)

ANYWHERE = -1
"""As `expected`: move the alias wherever it points."""

MODELS_AT_ONCE = 16


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class ChangeLog(Protocol):
    """One model's changes, in the one order that all readers see."""

    def ask(self, question: Callable[[ModelState], T]) -> T:
        """The answer of a state with every change acknowledged before this call."""
        ...

    def recall(self, question: Callable[[ModelState], T]) -> T:
        """The answer of what was read so far, which has all of this process's own changes."""
        ...

    def change(self, decide: Callable[[ModelState], Made]) -> tuple[int, Made]:
        """Append what `decide` makes of the newest state, asked again whenever another writer was first; its epoch.

        What `decide` raises passes through, with nothing changed.
        """
        ...


Log = TypeVar("Log", bound=ChangeLog)


class LoggedRegistry(ABC, Generic[Log]):
    """`ports.ModelRegistry` but for `register` and `models`. An answer has all that was acknowledged before the question."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage, self._blobs = storage, Blobs(storage)
        self._logs: dict[str, Log] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _open_log(self, model: str) -> Log:
        """The model's log, to be opened once. Raises Invalid for what is not a name."""

    @abstractmethod
    def models(self) -> list[str]: ...

    # -------------------------------------------------------------------------------------------------- writing

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
