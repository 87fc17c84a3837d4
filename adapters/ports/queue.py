"""The message queue: a partitioned, replayable log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """A message to publish. Equal keys of one topic keep their order; `id` survives redelivery and is made when empty."""

    value: bytes
    key: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log: the record at `offset` (from 0) of `partition` of `topic`."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Message:
    """A received record. `attempt` counts deliveries to this group from 1; `id` is the publisher's."""

    id: str
    value: bytes
    key: bytes | None
    headers: Mapping[str, str]
    position: Position
    timestamp: datetime
    attempt: int = 1


class Subscription(Protocol):
    """One member of a consumer group. Not shared between threads. Closing it returns what was not acknowledged."""

    def receive(self, *, limit: int = 500, timeout_seconds: float = 1.0) -> list[Message]:
        """Up to `limit` messages; at once when some are there, else empty after the timeout.

        At least once: what is not acknowledged is delivered again, to this member or, when it is gone, another.
        Of one key, a message comes only after all before it, unless those were nacked with a delay.
        """
        ...

    def ack(self, messages: Iterable[Message]) -> None:
        """These are done and will not come again once `commit`, `receive` or `close` has returned. In any order.

        Of a message whose partition has meanwhile gone to another member nothing is recorded: it will come again there.
        """
        ...

    def commit(self) -> None:
        """Make all acknowledgements so far durable now. Raises Transient."""
        ...

    def nack(self, message: Message, *, delay_seconds: float = 0.0, reason: str = "") -> None:
        """Deliver it again, not before the delay, with `attempt` one higher; dead-lettered when attempts are used up."""
        ...

    def dead_letter(self, message: Message, reason: str) -> None:
        """Publish it to `<topic>.dlq` with its id, key, headers, position, attempts and `reason`, then acknowledge it."""
        ...

    def seek(self, position: Position) -> None:
        """Continue at this position. Raises Invalid when its partition is not assigned to this member."""
        ...

    def assigned(self) -> list[tuple[str, int]]:
        """The (topic, partition) pairs now assigned to this member."""
        ...

    def close(self) -> None:
        """Commit what was acknowledged and leave the group, so that others take over at once."""
        ...

    def __enter__(self) -> Subscription: ...
    def __exit__(self, *exc: object) -> None: ...


class MessageQueue(Protocol):
    """A partitioned, replayable log with consumer groups."""

    def publish(self, topic: str, records: Sequence[Record], *, timeout_seconds: float = 30.0) -> list[Position]:
        """Append all; returns once every one is acknowledged by all in-sync replicas, positions in the order given.

        The producer is idempotent: its own retries store nothing twice and keep the order per key. Raises NotFound for
        an unknown topic, Invalid for a record past the size limit, Transient or DeadlineExceeded (some may be stored).
        """
        ...

    def subscribe(
        self, topics: Sequence[str], *, group: str, start: str = "earliest", max_attempts: int = 5
    ) -> Subscription:
        """Join `group`. A new group starts at the `earliest` or `latest` record. Raises NotFound for an unknown topic."""
        ...

    def create_topic(self, topic: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make the topic; one that is there with as many partitions is no error, otherwise Conflict."""
        ...

    def delete_topic(self, topic: str) -> None:
        """Remove the topic and its records; an absent one is no error."""
        ...

    def lag(self, topic: str, *, group: str) -> int:
        """Records not yet committed by the group over all partitions; of a group that never committed, all there are."""
        ...

    def ends(self, topic: str) -> list[Position]:
        """The position after the newest record, per partition."""
        ...

    def at(self, topic: str, when: datetime) -> list[Position]:
        """Per partition, the first position whose timestamp is `when` or later (the end where there is none)."""
        ...

    def close(self) -> None:
        """Flush what was published and free the connections."""
        ...
