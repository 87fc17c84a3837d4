"""A whole cloud inside this process, for tests and notebooks: every port, nothing kept. One connection is one cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.ports import Database, KeyValue, Launcher, MessageQueue, ObjectStorage, Secrets
    from adapters.settings import Settings


def storage(settings: Settings) -> ObjectStorage:
    from adapters.drivers.storage import memory

    return memory.open(settings.storage)


def queue(settings: Settings) -> MessageQueue:
    from adapters.drivers.queue import memory

    return memory.open(settings.queue)


def key_value(settings: Settings) -> KeyValue:
    from adapters.drivers.key_value import memory

    return memory.open(settings.key_value)


def secrets(settings: Settings) -> Secrets:
    from adapters.drivers.secrets import memory

    return memory.open(settings.secrets)


def database(settings: Settings) -> Database:
    from adapters.drivers.database import memory

    return memory.open(settings.database)


def launcher(settings: Settings) -> Launcher:
    from adapters.drivers.launcher import memory

    return memory.open(settings.launcher)
