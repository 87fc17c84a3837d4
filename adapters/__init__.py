"""Cloud-agnostic adapters. `connect(settings)` opens the ports of one cloud; nothing else here knows which cloud it is.

    with connect(Settings.load()) as platform:
        platform.storage.put("hello.txt", b"hello")

It reads no globals and can be open twice at once: a migration holds two clouds.
"""

from __future__ import annotations

import importlib
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adapters.errors import NotInstalled

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.ports import Database, KeyValue, Launcher, MessageQueue, ModelRegistry, ObjectStorage, Secrets
    from adapters.settings import Settings

__all__ = ["Adapters", "connect"]

T = TypeVar("T")


class Cloud(Protocol):
    """What the package `adapters.clouds.<name>` offers: one function per port, each importing its driver when called."""

    def storage(self, settings: Settings) -> ObjectStorage: ...
    def queue(self, settings: Settings) -> MessageQueue: ...
    def key_value(self, settings: Settings) -> KeyValue: ...
    def secrets(self, settings: Settings) -> Secrets: ...
    def database(self, settings: Settings) -> Database: ...
    def launcher(self, settings: Settings) -> Launcher: ...


class Adapters:
    """The ports of one cloud, each opened at first use. Close it, or use it as a context manager."""

    def __init__(self, settings: Settings, cloud: Cloud) -> None:
        from adapters.settings import bound

        self.settings = settings
        self._cloud = cloud
        # What a port's section names as `secret:NAME` is asked of the secret manager when that port is opened.
        self._bound = bound(settings, lambda name: self.secrets.get(name))
        self._opened: list[Any] = []
        self._lock = threading.RLock()

    @cached_property
    def storage(self) -> ObjectStorage:
        """Object storage under the settings' prefix, whole operations retried within the settings' timeout."""
        from adapters.prefix import Prefixed
        from adapters.retry import Retrying

        def opened(settings: Settings) -> ObjectStorage:
            store = Retrying(self._cloud.storage(settings), deadline_seconds=settings.storage.timeout_seconds)
            return Prefixed(store, settings.storage.prefix) if settings.storage.prefix else store

        return self._open(opened)

    @cached_property
    def queue(self) -> MessageQueue:
        """Kafka."""
        return self._open(self._cloud.queue)

    @cached_property
    def key_value(self) -> KeyValue:
        """Redis."""
        return self._open(self._cloud.key_value)

    @cached_property
    def secrets(self) -> Secrets:
        """The secret manager."""
        return self._open(self._cloud.secrets)

    @cached_property
    def database(self) -> Database:
        """SQLite or PostgreSQL."""
        return self._open(self._cloud.database)

    @cached_property
    def launcher(self) -> Launcher:
        """Processes or Kubernetes Jobs."""
        return self._open(self._cloud.launcher)

    @cached_property
    def registry(self) -> ModelRegistry:
        """The model registry: files in object storage, and its records there too unless the settings name an MLflow."""
        if self.settings.registry.mlflow_url:
            from adapters.drivers.registry import mlflow

            return self._open(lambda settings: mlflow.open(settings.registry, self.storage))
        from adapters.drivers.registry.objects import ObjectRegistry

        return ObjectRegistry(self.storage)

    def _open(self, opener: Callable[[Settings], T]) -> T:
        with self._lock:
            port = opener(self._bound)
            self._opened.append(port)
            return port

    def close(self) -> None:
        """Close every port that was opened, newest first."""
        with self._lock:
            while self._opened:
                close = getattr(self._opened.pop(), "close", None)
                if close is not None:
                    close()

    def __enter__(self) -> Adapters:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def connect(settings: Settings) -> Adapters:
    """The ports of the settings' cloud. Nothing is contacted before a port is first used.

    Raises Invalid for a cloud without adapters, and at first use NotInstalled (naming the extra) or Denied.
    """
    from adapters.settings import known_cloud

    return Adapters(settings, importlib.import_module(f"adapters.clouds.{known_cloud(settings.cloud)}"))  # type: ignore[arg-type]


def missing(library: str, *, extra: str) -> NotInstalled:
    """The error for a driver whose library is not there, naming the extra that brings it."""
    return NotInstalled(f"{library} is not installed", cure=f"pip install -e '.[{extra}]', or run `make up`")
