"""A model registry whose records are in MLflow, for teams that have one; the files stay in object storage.

registry = connect(Settings.load()).registry  # with ISTHMUS_REGISTRY_MLFLOW_URL=http://mlflow:5000

docs/registry.md shows what is where, docs/decisions/0007-registry-on-mlflow.md why changes go through a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import msgspec

from adapters.drivers.registry import names
from adapters.drivers.registry.change_log import LogOptions
from adapters.drivers.registry.logged import ANYWHERE, LoggedRegistry
from adapters.drivers.registry.mlflow_api import MlflowApi
from adapters.drivers.registry.mlflow_log import PREFIX, MlflowLog
from adapters.drivers.registry.mlflow_page import Page, converge
from adapters.drivers.registry.records import Registered
from adapters.drivers.registry.state import ModelState
from adapters.errors import NotFound
from adapters.ports import Artifact, ModelVersion, ObjectStorage
from adapters.settings import RegistrySettings

UNNUMBERED = 0
"""The number of a version in its own record: MLflow gives it one when it takes the record in."""


def open(settings: RegistrySettings, storage: ObjectStorage) -> MlflowRegistry:
    """The registry on the server that `settings` name, contacted at first use. Raises Invalid for what is not a URL."""
    return MlflowRegistry(MlflowApi(settings), storage, patience_seconds=settings.timeout_seconds)


class MlflowRegistry(LoggedRegistry[MlflowLog]):
    """`ports.ModelRegistry` over an MLflow tracking server and any `ObjectStorage`."""

    def __init__(self, api: MlflowApi, storage: ObjectStorage, **options: Unpack[LogOptions]) -> None:
        super().__init__(storage, **options)
        self._api, self._page = api, Page(api)

    def _add(self, log: MlflowLog, artifacts: tuple[Artifact, ...], facts: Mapping[str, Any]) -> ModelVersion:
        """Raises Transient when MLflow did not answer for too long: then the version may appear with the next one."""
        model = log.model
        made = Registered(version=UNNUMBERED, artifacts=artifacts, **facts)
        with log.turn() as deadline:
            if not (log.recall(_newest) or log.ask(_newest)):
                self._page.open(model)
            try:
                number = self._page.create(model, made, deadline)
            except NotFound as error:
                raise NotFound(
                    "its registered model was deleted in MLflow, or renamed",
                    name=model,
                    cure="restore it there from a backup; `isthmus models copy` takes its versions to another registry",
                ) from error
            made = msgspec.structs.replace(made, version=number)
            log.show(made, lambda known: self._page.between(model, known, number), deadline)
        return log.recall(lambda state: state.version(number))

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None = ANYWHERE) -> int:
        epoch = super().set_alias(model, alias, version, expected=expected)

        def target(state: ModelState) -> int | None:
            return state.aliases.get(alias)

        log = self._log(model)
        converge(
            lambda: log.ask(target),
            lambda: log.recall(target),
            lambda version: self._page.show_alias(model, alias, version),
            f"{model}@{alias}",
        )
        return epoch

    def set_tags(self, model: str, version: int, tags: Mapping[str, str | None]) -> int:
        epoch = super().set_tags(model, version, tags)

        def changed(state: ModelState) -> dict[str, str | None]:
            found = state.version(version).tags
            return {name: found.get(name) for name in tags}

        log = self._log(model)
        converge(
            lambda: log.ask(changed),
            lambda: log.recall(changed),
            lambda values: self._page.show_tags(model, version, values),
            f"{model} version {version}",
        )
        return epoch

    def models(self) -> list[str]:
        first = self._api.versions(f"name LIKE '{PREFIX}%' and version_number = 1")
        found = (version.name.removeprefix(PREFIX) for version in first)
        return sorted(name for name in found if names.MODEL.fullmatch(name))

    def close(self) -> None:
        """Close the connections to MLflow; the storage is its owner's to close."""
        self._api.close()

    def _open_log(self, model: str) -> MlflowLog:
        return MlflowLog(self._api, model, **self._options)


def _newest(state: ModelState) -> int:
    return state.newest
