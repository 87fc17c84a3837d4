"""Apache Kafka, and what speaks its protocol: Amazon MSK, Google's managed service, Strimzi. On confluent-kafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters import missing
from adapters.drivers.queue import auth, headers
from adapters.drivers.queue.subscription import MOST_IN_HAND, GroupSubscription
from adapters.errors import Conflict, NotFound
from adapters.ports import Position, Record
from adapters.settings import QueueSettings

try:
    from adapters.drivers.queue.kafka_admin import ANSWER_SECONDS, KafkaAdmin
    from adapters.drivers.queue.kafka_errors import Trouble
    from adapters.drivers.queue.kafka_feed import KafkaFeed
    from adapters.drivers.queue.kafka_publisher import KafkaPublisher
except ImportError as error:
    raise missing("confluent-kafka", extra="runtime") from error

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
_EPOCH = datetime.fromtimestamp(0, UTC)


def open(section: QueueSettings) -> KafkaQueue:
    """The queue at the section's brokers. Nothing is contacted before it is used."""
    return KafkaQueue(section)


class KafkaQueue:
    """`ports.MessageQueue` on Kafka.

    `session_seconds` is how long a member may be silent before its partitions go to others, `poll_seconds` how long its
    handler may take between two calls of `receive`. `tokens` takes the place of the cloud's own token source.
    """

    def __init__(
        self,
        section: QueueSettings,
        *,
        session_seconds: float = 10.0,
        poll_seconds: float = 300.0,
        most_in_hand: int = MOST_IN_HAND,
        tokens: auth.TokenSource | None = None,
    ) -> None:
        self._section = section
        self._session_seconds = session_seconds
        self._poll_seconds = poll_seconds
        self._most_in_hand = most_in_hand
        self._tokens = tokens
        self._admin = KafkaAdmin(self._config, section.brokers)
        self._publisher = KafkaPublisher(self._config, section.brokers)
        self._known: set[str] = set()

    def publish(self, topic: str, records: Sequence[Record], *, timeout_seconds: float = 30.0) -> list[Position]:
        headers.check_records(records)
        deadline = time.monotonic() + timeout_seconds
        self._require(topic, timeout_seconds=min(timeout_seconds, ANSWER_SECONDS))
        if not records:
            return []
        try:
            return self._publisher.publish(topic, records, max(0.0, deadline - time.monotonic()))
        except NotFound:
            self._known.discard(topic)
            raise

    def subscribe(
        self, topics: Sequence[str], *, group: str, start: str = "earliest", max_attempts: int = 5
    ) -> GroupSubscription:
        topics = headers.check_subscription(topics, group, start)
        for topic in topics:
            self._known.discard(topic)
            self._require(topic)
        if start == "latest":
            self._pin(topics, group)
        trouble = Trouble(self._section.brokers)
        config = {
            **self._config(),
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(self._session_seconds * 1000),
            "heartbeat.interval.ms": int(self._session_seconds * 1000 / 4),
            "max.poll.interval.ms": int(max(self._poll_seconds, self._session_seconds) * 1000),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Where the committed offset has been deleted by retention, or never was. `latest` is pinned above instead:
            # here it would skip what came while nobody listened.
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 64 * 1024,
            # A partition that is assigned, resumed or sought waits this long behind a request that is under way.
            "fetch.wait.max.ms": 100,
            "error_cb": trouble.heard,
        }
        feed = KafkaFeed(config, topics, trouble)
        return GroupSubscription(feed, self._bury, max_attempts=max_attempts, most_in_hand=self._most_in_hand).join()

    def create_topic(self, topic: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        headers.check_topic(topic)
        headers.check_partitions(partitions, topic)
        self._admin.create(topic, partitions, self._section.replication, config or {})
        self._known.add(topic)

    def delete_topic(self, topic: str) -> None:
        self._known.discard(headers.check_topic(topic))
        self._admin.delete(topic)

    def lag(self, topic: str, *, group: str) -> int:
        ends, begins = self._admin.ends(headers.check_topic(topic)), self._admin.begins(topic)
        committed = self._admin.committed(topic, group)
        return sum(max(0, end - max(committed.get(number, 0), begins[number])) for number, end in ends.items())

    def ends(self, topic: str) -> list[Position]:
        ends = self._admin.ends(headers.check_topic(topic))
        return [Position(topic, number, offset) for number, offset in ends.items()]

    def at(self, topic: str, when: datetime) -> list[Position]:
        headers.check_moment(when)
        # Kafka keeps milliseconds: rounded up, and in integers, so that nothing from before `when` is included.
        found = self._admin.first_at(headers.check_topic(topic), -((_EPOCH - when) // timedelta(milliseconds=1)))
        ends = self._admin.ends(topic)
        return [Position(topic, each, offset if offset >= 0 else ends[each]) for each, offset in found.items()]

    def close(self) -> None:
        self._admin.close()
        self._publisher.close(CLOSE_SECONDS)

    def _config(self) -> dict[str, Any]:
        """Made anew for each client, so that a secret that was replaced is read again, and kept nowhere."""
        return {
            **auth.client_config(self._section, tokens=self._tokens),
            "client.id": "isthmus",
            "logger": log,
            "log_level": 2,  # what goes wrong comes as an error or through `error_cb`; a broker away would fill the log
            "socket.timeout.ms": 10_000,
            "socket.connection.setup.timeout.ms": 10_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 2_000,
            "allow.auto.create.topics": False,
        }

    def _require(self, topic: str, *, timeout_seconds: float = ANSWER_SECONDS) -> None:
        """Raises NotFound for a topic that is not there. To a broker that makes topics when asked, publishing would."""
        if topic not in self._known:
            self._admin.partitions(headers.check_topic(topic), timeout_seconds=timeout_seconds)
            self._known.add(topic)

    def _pin(self, topics: Sequence[str], group: str) -> None:
        """Begin a new group at the newest record as of now, and for good: not as of when it comes to poll or to commit."""
        starts = []
        for topic in topics:
            committed = self._admin.committed(topic, group)
            starts += [end for end in self.ends(topic) if end.partition not in committed]
        if starts:
            try:
                self._admin.pin(group, starts)
            except Conflict:
                log.info("group %s has members: they have begun already", group)

    def _bury(self, topic: str, letter: Record) -> None:
        grave = topic + headers.DEAD_LETTERS
        if grave not in self._known and not self._admin.exists(grave):
            self.create_topic(grave)
        self.publish(grave, [letter])
