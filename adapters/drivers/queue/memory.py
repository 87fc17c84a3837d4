"""A broker inside this process: topics, partitions, groups and their members, with nothing kept."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.drivers.queue import headers
from adapters.drivers.queue.feed import Chunk, Commits, Listener, Placement, Rebalancing, Received
from adapters.drivers.queue.ledger import Partition
from adapters.drivers.queue.sharing import share
from adapters.drivers.queue.subscription import MOST_IN_HAND, GroupSubscription
from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import Message, Position, Record
from adapters.settings import QueueSettings


def open(section: QueueSettings) -> MemoryQueue:
    """A broker of its own, empty."""
    return MemoryQueue()


@dataclass(eq=False, slots=True)
class Group:
    """A consumer group: what it committed, who is in it, who should hold a partition and who does."""

    committed: dict[Partition, tuple[int, str]] = field(default_factory=dict)
    members: list[MemoryFeed] = field(default_factory=list)
    shares: dict[Partition, MemoryFeed] = field(default_factory=dict)
    holders: dict[Partition, MemoryFeed] = field(default_factory=dict)


class MemoryQueue:
    """`ports.MessageQueue` in this process. One instance is one broker, its clients share it."""

    def __init__(self, *, most_in_hand: int = MOST_IN_HAND) -> None:
        self.changed = threading.Condition(threading.RLock())
        """Held while anything below is read or written; notified of each change."""
        self.topics: dict[str, list[list[Message]]] = {}
        self.groups: dict[str, Group] = {}
        self.most_in_hand = most_in_hand
        self._ids = headers.ids()
        self._turn = 0

    def publish(self, topic: str, records: Sequence[Record], *, timeout_seconds: float = 30.0) -> list[Position]:
        headers.check_records(records)
        with self.changed:
            logs = self._logs(topic)
            positions = [self._append(topic, logs, record) for record in records]
            self.changed.notify_all()
        return positions

    def _append(self, topic: str, logs: list[list[Message]], record: Record) -> Position:
        if record.key is None:
            self._turn += 1
        number = (self._turn if record.key is None else zlib.crc32(record.key)) % len(logs)
        position = Position(topic, number, len(logs[number]))
        now = time.time_ns() // 1_000_000
        message = Message(
            id=record.id or next(self._ids),
            value=record.value,
            key=record.key,
            headers=dict(record.headers),
            position=position,
            timestamp=datetime.fromtimestamp(now / 1000, UTC),
        )
        logs[number].append(message)
        return position

    def subscribe(
        self, topics: Sequence[str], *, group: str, start: str = "earliest", max_attempts: int = 5
    ) -> GroupSubscription:
        topics = headers.check_subscription(topics, group, start)
        with self.changed:
            for topic in topics:
                self._logs(topic)
            if start == "latest":
                committed = self.groups.setdefault(group, Group()).committed
                for topic in topics:
                    for end in self.ends(topic):
                        committed.setdefault(Partition(topic, end.partition), (end.offset, ""))
        feed = MemoryFeed(self, group, topics)
        return GroupSubscription(feed, self._bury, max_attempts=max_attempts, most_in_hand=self.most_in_hand).join()

    def _bury(self, topic: str, letter: Record) -> None:
        grave = topic + headers.DEAD_LETTERS
        with self.changed:
            if grave not in self.topics:
                self.create_topic(grave)
            self.publish(grave, [letter])

    def create_topic(self, topic: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        headers.check_topic(topic)
        headers.check_partitions(partitions, topic)
        with self.changed:
            logs = self.topics.setdefault(topic, [[] for _ in range(partitions)])
            if len(logs) != partitions:
                raise Conflict(f"there with {len(logs)} partitions, not {partitions}", name=topic)
            for group in self.groups.values():
                self.rebalance(group)

    def delete_topic(self, topic: str) -> None:
        with self.changed:
            self.topics.pop(topic, None)
            for group in self.groups.values():
                for held in (group.committed, group.shares, group.holders):
                    for partition in [each for each in held if each.topic == topic]:
                        del held[partition]
            self.changed.notify_all()

    def lag(self, topic: str, *, group: str) -> int:
        with self.changed:
            committed = self.groups[group].committed if group in self.groups else {}
            return sum(
                end.offset - committed.get(Partition(topic, end.partition), (0, ""))[0] for end in self.ends(topic)
            )

    def ends(self, topic: str) -> list[Position]:
        with self.changed:
            return [Position(topic, number, len(log)) for number, log in enumerate(self._logs(topic))]

    def at(self, topic: str, when: datetime) -> list[Position]:
        headers.check_moment(when)
        with self.changed:
            return [
                Position(topic, number, next((i for i, each in enumerate(log) if each.timestamp >= when), len(log)))
                for number, log in enumerate(self._logs(topic))
            ]

    def close(self) -> None:
        """Nothing is held open: what is in it stays for whoever has this queue."""

    def _logs(self, topic: str) -> list[list[Message]]:
        if topic not in self.topics:
            raise NotFound("no such topic", name=topic, cure="create it first")
        return self.topics[topic]

    def expire(self, group: str) -> None:
        """End every member of the group as a kill would: without a farewell, and with nothing more recorded."""
        with self.changed:
            for member in list(self.groups[group].members):
                member.expire()

    def rebalance(self, group: Group) -> None:
        """Share the partitions out among the members anew. Called while `changed` is held."""
        topics = {topic for member in group.members for topic in member.topics}
        partitions = [Partition(each, i) for each in sorted(topics) for i in range(len(self.topics.get(each, ())))]
        group.shares = share(
            partitions, group.members, group.shares, wants=lambda member, each: each.topic in member.topics
        )
        self.changed.notify_all()


class MemoryFeed:
    """A member of a group of a `MemoryQueue`. As with Kafka, it gives partitions up only when it polls."""

    def __init__(self, queue: MemoryQueue, group: str, topics: Sequence[str]) -> None:
        self.topics = topics
        self._queue = queue
        self._name = group
        self._positions: dict[Partition, int] = {}
        self._paused = False

    @property
    def _group(self) -> Group:
        return self._queue.groups.setdefault(self._name, Group())

    def join(self, listener: Listener, timeout_seconds: float) -> list[Chunk]:
        self._listener = listener
        with self._queue.changed:
            self._group.members.append(self)
            self._queue.rebalance(self._group)
            self._settle()
        return []

    def poll(self, limit: int, timeout_seconds: float) -> list[Chunk]:
        deadline = time.monotonic() + timeout_seconds
        with self._queue.changed:
            while True:
                self._settle()
                chunks = [] if self._paused else list(self._fetch(limit))
                wait = deadline - time.monotonic()
                if chunks or wait <= 0:
                    return chunks
                self._queue.changed.wait(wait)

    def _settle(self) -> None:
        """Give up what is another's share, then take what is ours and free."""
        group = self._group
        held = [each for each, holder in group.holders.items() if holder is self]
        gone = [each for each in self._positions if each not in held]
        if gone:
            self._forget(gone)
            self._listener.lose(gone)
        leaving = [each for each in held if group.shares.get(each) is not self]
        if leaving:
            group.committed.update(self._listener.revoke(leaving))
            self._forget(leaving)
            for each in leaving:
                del group.holders[each]
            self._queue.changed.notify_all()
        coming = [each for each, owner in group.shares.items() if owner is self and each not in group.holders]
        for each in coming:
            group.holders[each] = self
            self._positions[each] = group.committed.get(each, (0, ""))[0]
        if coming:
            self._listener.assign(Placement(each, *group.committed.get(each, (0, ""))) for each in coming)

    def _forget(self, partitions: Sequence[Partition]) -> None:
        for each in partitions:
            self._positions.pop(each, None)

    def _fetch(self, limit: int) -> Iterator[Chunk]:
        for partition, begin in self._positions.items():
            log = self._queue.topics[partition.topic][partition.number]
            records = log[begin : begin + limit]
            if limit and records:
                limit -= len(records)
                self._positions[partition] = begin + len(records)
                yield Chunk(partition, range(begin, begin + len(records)), [_received(each) for each in records])
        # The partition served last goes first next time, so that a busy one starves none.
        self._positions = dict(reversed(self._positions.items()))

    def pause(self, paused: bool) -> None:
        self._paused = paused

    def commit(self, commits: Commits) -> None:
        with self._queue.changed:
            if any(self._group.holders.get(partition) is not self for partition in commits):
                raise Rebalancing("a partition has gone to another member", name=self._name)
            self._group.committed.update(commits)

    def seek(self, partition: Partition, offset: int) -> None:
        with self._queue.changed:
            end = len(self._queue.topics[partition.topic][partition.number])
            if offset > end:
                raise Invalid(f"offset {offset} is past the end, {end}", name=f"{partition.topic}/{partition.number}")
            self._positions[partition] = offset

    def close(self) -> None:
        self.expire()

    def expire(self) -> None:
        """Be gone, as when a process is killed: what was not committed is another member's to do again."""
        with self._queue.changed:
            group = self._group
            if self in group.members:
                group.members.remove(self)
                for each in [each for each, holder in group.holders.items() if holder is self]:
                    del group.holders[each]
                self._queue.rebalance(group)


def _received(message: Message) -> Received:
    received = Received(
        message.id, message.value, message.key, message.headers, message.position, message.timestamp, message.attempt
    )
    object.__setattr__(received, "offset", message.position.offset)
    return received
