"""Topics of a local Kafka broker, through confluent-kafka's admin client."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # pyright: ignore[reportPrivateImportUsage] - its documented names
    AdminClient,
    AlterConfigOpType,  # pyright: ignore[reportPrivateImportUsage]
    ConfigEntry,  # pyright: ignore[reportPrivateImportUsage]
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage]
    NewPartitions,  # pyright: ignore[reportPrivateImportUsage]
    NewTopic,  # pyright: ignore[reportPrivateImportUsage]
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from infra.providers.base import ProviderError

_TIMEOUT_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_UNREACHABLE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE)


class BrokerUnreachable(ProviderError):
    """No broker answers at the bootstrap address."""


class Broker:
    """One cluster, found by its bootstrap address `host:port[,host:port]`."""

    def __init__(self, bootstrap: str) -> None:
        """Raises BrokerUnreachable at once where nothing listens: the client itself would try for a long while."""
        self._bootstrap = bootstrap
        if not any(_listens(address) for address in bootstrap.split(",")):
            raise BrokerUnreachable(f"no broker answers at {bootstrap}")
        self._admin = AdminClient(
            {
                "bootstrap.servers": bootstrap,
                "socket.connection.setup.timeout.ms": 5000,
                "client.id": "isthmus-provider",
                # Its own complaints about a broker that is down would only repeat our one sentence.
                "log_level": 0,
            }
        )

    def partitions(self, name: str) -> int | None:
        """How many partitions the topic has; None when there is no such topic."""
        with self._answering(f"look at topic {name!r}"):
            found = self._admin.list_topics(timeout=_TIMEOUT_SECONDS).topics.get(name)
            return None if found is None or found.error is not None else len(found.partitions)

    def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Make the topic; one that exists is left as it is."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config))
        with self._answering(f"make topic {name!r}", KafkaError.TOPIC_ALREADY_EXISTS):
            self._admin.create_topics([topic], **_limits())[name].result(_TIMEOUT_SECONDS)

    def grow(self, name: str, partitions: int) -> None:
        """Raise the number of partitions to `partitions`."""
        with self._answering(f"give topic {name!r} {partitions} partitions"):
            self._admin.create_partitions([NewPartitions(name, partitions)], **_limits())[name].result(_TIMEOUT_SECONDS)

    def config(self, name: str) -> dict[str, str]:
        """The topic's settings, defaults included."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        with self._answering(f"read the settings of topic {name!r}"):
            found = self._admin.describe_configs([resource], request_timeout=_TIMEOUT_SECONDS)[resource]
            return {key: entry.value for key, entry in found.result(_TIMEOUT_SECONDS).items()}

    def configure(self, name: str, wanted: Mapping[str, str], dropped: list[str]) -> None:
        """Set the settings `wanted`, and return those `dropped` to their defaults."""
        put, drop = AlterConfigOpType.SET, AlterConfigOpType.DELETE
        changes = [ConfigEntry(key, value, incremental_operation=put) for key, value in wanted.items()]
        changes += [ConfigEntry(key, None, incremental_operation=drop) for key in dropped]
        if not changes:
            return
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
        with self._answering(f"set up topic {name!r}"):
            altered = self._admin.incremental_alter_configs([resource], request_timeout=_TIMEOUT_SECONDS)
            altered[resource].result(_TIMEOUT_SECONDS)

    def is_empty(self, name: str) -> bool:
        """Whether no partition holds a record."""
        count = self.partitions(name) or 0
        return self._offsets(name, count, OffsetSpec.earliest()) == self._offsets(name, count, OffsetSpec.latest())

    def remove(self, name: str) -> None:
        """Remove the topic with all it holds; succeeds when it is gone already."""
        with self._answering(f"remove topic {name!r}", KafkaError.UNKNOWN_TOPIC_OR_PART):
            self._admin.delete_topics([name], **_limits())[name].result(_TIMEOUT_SECONDS)

    def _offsets(self, name: str, count: int, spec: Any) -> list[int]:
        with self._answering(f"look into topic {name!r}"):
            asked = self._admin.list_offsets(
                {TopicPartition(name, index): spec for index in range(count)}, request_timeout=_TIMEOUT_SECONDS
            )
            found = {partition.partition: future.result(_TIMEOUT_SECONDS).offset for partition, future in asked.items()}
            return [found[index] for index in range(count)]

    @contextmanager
    def _answering(self, what: str, *ignored: int) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            reason = error.args[0]
            code = reason.code() if isinstance(reason, KafkaError) else None
            if code in ignored:
                return
            if code in _UNREACHABLE:
                raise BrokerUnreachable(f"could not {what}: no broker answers at {self._bootstrap}") from error
            told = reason.str() if isinstance(reason, KafkaError) else str(error)
            raise ProviderError(f"Kafka at {self._bootstrap} would not {what}: {told}") from error
        except TimeoutError as error:
            raise BrokerUnreachable(f"could not {what}: {self._bootstrap} did not answer in time") from error


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _limits() -> dict[str, Any]:
    return {"operation_timeout": _TIMEOUT_SECONDS, "request_timeout": _TIMEOUT_SECONDS}
