"""The registry on a real MLflow server: the suite, and what only MLflow can do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.conformance.model_registry import Damage, ModelRegistrySuite
from adapters.drivers.registry import mlflow
from adapters.drivers.registry.mlflow import MlflowRegistry
from adapters.drivers.storage import memory
from adapters.ports import ObjectStorage
from adapters.settings import RegistrySettings, StorageSettings
from tests.conformance.test_model_registry import overwriting
from tests.mlflow_server import mlflow_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with mlflow_server() as url:
        yield url


@pytest.fixture(scope="module")
def storage() -> ObjectStorage:
    return memory.open(StorageSettings())


@pytest.fixture(scope="module")
def opened(url: str, storage: ObjectStorage) -> Iterator[Callable[[], MlflowRegistry]]:
    """A client that shares nothing with others but the servers."""
    registries: list[MlflowRegistry] = []

    def fresh() -> MlflowRegistry:
        registries.append(mlflow.open(RegistrySettings(mlflow_url=url), storage))
        return registries[-1]

    yield fresh
    for registry in registries:
        registry.close()


class TestMlflow(ModelRegistrySuite):
    random_steps = 30

    @pytest.fixture
    def registry(self, opened: Callable[[], MlflowRegistry]) -> MlflowRegistry:
        return opened()

    @pytest.fixture
    def elsewhere(self, opened: Callable[[], MlflowRegistry]) -> MlflowRegistry:
        return opened()

    @pytest.fixture
    def damage(self, storage: ObjectStorage) -> Damage:
        return overwriting(storage)
