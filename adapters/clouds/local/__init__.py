"""This machine: an S3 server, Kafka, Redis and SQLite as processes that `isthmus up` starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.ports import Database, KeyValue, Launcher, MessageQueue, ObjectStorage, Secrets
    from adapters.settings import Settings


def storage(settings: Settings) -> ObjectStorage:
    from adapters.drivers.storage import s3

    return s3.open(settings.storage)


def queue(settings: Settings) -> MessageQueue:
    from adapters.drivers.queue import kafka

    return kafka.open(settings.queue)


def key_value(settings: Settings) -> KeyValue:
    from adapters.drivers.key_value import redis

    return redis.open(settings.key_value)


def secrets(settings: Settings) -> Secrets:
    from adapters.drivers.secrets import file

    return file.open(settings.secrets)


def database(settings: Settings) -> Database:
    from adapters.drivers.database import sql

    return sql.open(settings.database)


def launcher(settings: Settings) -> Launcher:
    from adapters.drivers.launcher import process

    return process.open(settings.launcher)
