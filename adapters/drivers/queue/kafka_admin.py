"""Questions to a Kafka cluster about its topics, offsets and groups."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

from adapters.drivers.queue.kafka_errors import Trouble, classify, new_client
from adapters.errors import Conflict, NotFound, Transient
from adapters.ports import Position

ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 30.0
"""How long a created topic may take until every partition has a leader, or a deleted one until it is gone."""
K = TypeVar("K")
V = TypeVar("V")


class KafkaAdmin:
    """The administrative client of a queue. It connects at the first question."""

    def __init__(self, config: Callable[[], dict[str, Any]], brokers: str) -> None:
        self._config = config
        self._trouble = Trouble(brokers)
        self._lock = threading.Lock()
        self._opened: AdminClient | None = None

    @property
    def _client(self) -> AdminClient:
        with self._lock:
            if self._opened is None:
                self._opened = new_client(AdminClient, {**self._config(), "error_cb": self._trouble.heard})
            return self._opened

    def partitions(self, topic: str, *, timeout_seconds: float = ANSWER_SECONDS) -> int:
        """How many the topic has. Raises NotFound; never makes the topic, as asking for its metadata may."""
        return len(self._describe(topic, timeout_seconds).partitions)

    def exists(self, topic: str) -> bool:
        """Whether there is such a topic."""
        try:
            return self.partitions(topic) > 0
        except NotFound:
            return False

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Make it and wait until it can be written to. Raises Conflict when it is there with other partitions."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=dict(config))
        try:
            self._ask("create the topic", topic, lambda client: client.create_topics([new]))
        except Conflict:
            if (there := self.partitions(topic)) != partitions:
                raise Conflict(f"there with {there} partitions, not {partitions}", name=topic) from None
        self._settled(topic, lambda: self._led(topic, partitions))
        self.ends(topic)  # the leaders themselves know by now that they are

    def delete(self, topic: str) -> None:
        """Remove it and wait until it is gone."""
        try:
            self._ask("delete the topic", topic, lambda client: client.delete_topics([topic]))
        except NotFound:
            return
        self._settled(topic, lambda: not self.exists(topic))

    def ends(self, topic: str) -> dict[int, int]:
        """Per partition the offset after the newest record."""
        return self._offsets(topic, OffsetSpec.latest())

    def begins(self, topic: str) -> dict[int, int]:
        """Per partition the offset of the oldest record still kept."""
        return self._offsets(topic, OffsetSpec.earliest())

    def first_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """Per partition the first offset of this time (milliseconds since the epoch) or later; -1 where there is none."""
        return self._offsets(topic, OffsetSpec.for_timestamp(timestamp_ms))

    def _offsets(self, topic: str, spec: OffsetSpec | None) -> dict[int, int]:
        wanted: Any = {TopicPartition(topic, number): spec for number in range(self.partitions(topic))}
        answers = self._ask("list offsets", topic, lambda client: client.list_offsets(wanted))
        return {
            each.partition: answer.offset
            for each, answer in sorted(answers.items(), key=lambda item: item[0].partition)
        }

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """Per partition the group's committed offset; partitions it never committed are left out."""
        request = ConsumerGroupTopicPartitions(
            group, [TopicPartition(topic, number) for number in range(self.partitions(topic))]
        )
        answers = self._ask(
            "read the group's offsets", group, lambda client: client.list_consumer_group_offsets([request])
        )
        offsets = answers[group].topic_partitions
        for each in offsets:
            if each.error is not None:
                raise classify(each.error, group)
        return {each.partition: each.offset for each in offsets if each.offset >= 0}

    def pin(self, group: str, positions: Iterable[Position]) -> None:
        """Commit these positions for a group without members. Raises Conflict for one that has some."""
        offsets = [TopicPartition(each.topic, each.partition, each.offset) for each in positions]
        request = ConsumerGroupTopicPartitions(group, offsets)
        self._ask("set the group's start", group, lambda client: client.alter_consumer_group_offsets([request]))

    def close(self) -> None:
        """Forget the client; librdkafka ends its threads."""
        with self._lock:
            self._opened = None

    def _describe(self, topic: str, timeout_seconds: float = ANSWER_SECONDS) -> Any:
        def question(client: AdminClient) -> Mapping[str, concurrent.futures.Future[Any]]:
            return client.describe_topics(TopicCollection([topic]))

        return self._ask("describe the topic", topic, question, timeout_seconds)[topic]

    def _led(self, topic: str, partitions: int) -> bool:
        try:
            described = self._describe(topic).partitions
        except NotFound:
            return False  # not every broker has heard of it yet
        return len(described) == partitions and all(each.leader is not None for each in described)

    def _settled(self, topic: str, settled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not settled():
            if time.monotonic() > deadline:
                raise self._trouble.away(f"the topic {topic} did not settle within {SETTLE_SECONDS:g} s")
            time.sleep(0.02)

    def _ask(
        self,
        doing: str,
        name: str,
        question: Callable[[AdminClient], Mapping[K, concurrent.futures.Future[V]]],
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> dict[K, V]:
        """The answers to one request, asked again while the cluster is unsettled. A refused login ends it at once."""
        client = self._client
        self._trouble.forget()
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self._answers(client, question(client), deadline)
            except KafkaException as error:
                answer = classify(error, name)
                if not isinstance(answer, Transient) or time.monotonic() > deadline:
                    raise answer from error
            except TimeoutError as error:
                raise self._trouble.away(f"no answer to: {doing} ({timeout_seconds:g} s)") from error
            time.sleep(0.02)

    def _answers(
        self, client: AdminClient, futures: Mapping[K, concurrent.futures.Future[V]], deadline: float
    ) -> dict[K, V]:
        while concurrent.futures.wait(futures.values(), timeout=0.05).not_done:
            client.poll(0)
            if self._trouble.refused:
                self.close()  # the next question reads the credentials anew
                self._trouble.check()
            if time.monotonic() > deadline:
                raise TimeoutError
        return {key: future.result() for key, future in futures.items()}
