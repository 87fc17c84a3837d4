"""A member of a group at a Kafka broker, on librdkafka's batch consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise, repeat
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Raw

from adapters.drivers.queue import headers
from adapters.drivers.queue.aside import Aside
from adapters.drivers.queue.feed import Chunk, Commits, Listener, Placement, Received
from adapters.drivers.queue.kafka_errors import Trouble, classify, log
from adapters.drivers.queue.ledger import Partition
from adapters.errors import AdapterError, Invalid
from adapters.ports import Message, Position

ANSWER_SECONDS = 10.0
"""How long to wait for the broker's answer to a question about offsets."""
CLOSE_SECONDS = 10.0
_SLICE_SECONDS = 0.2  # how long a refused login can go unnoticed


class KafkaReceived(Received):
    """A message over the library's own, decoded field by field when asked for."""

    __slots__ = ()

    def _decode(self, name: str) -> Any:
        return _DECODERS[name](self.raw)


def _identifier(raw: Raw) -> str:
    """The publisher's, or, for a record that another library wrote, its place in the log, which is as lasting."""
    for name, value in raw.headers() or ():
        if name == headers.ID and value:
            return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return f"{raw.topic()}/{raw.partition()}/{raw.offset()}"


_DECODERS: dict[str, Any] = {
    "id": _identifier,
    "value": lambda raw: raw.value() or b"",
    "key": lambda raw: raw.key(),
    "headers": lambda raw: headers.decode_headers(dict(raw.headers() or ())),
    "position": lambda raw: Position(raw.topic(), raw.partition(), raw.offset()),
    "timestamp": lambda raw: datetime.fromtimestamp(max(0, raw.timestamp()[1]) / 1000, UTC),
    "attempt": lambda raw: 1,
}


class KafkaFeed:
    """One consumer. Its group callbacks run inside `poll` and `close`, in the caller's thread."""

    def __init__(self, config: dict[str, Any], topics: Sequence[str], trouble: Trouble) -> None:
        self._consumer = Consumer(config)
        self._topics = list(topics)
        self._trouble = trouble
        self._group: str = config["group.id"]
        self._held: list[Raw] = []
        """Consumed and not yet returned: the library would not bring it again."""
        self._fault: AdapterError | None = None
        self._unplaced: set[Partition] = set()
        self._admitted = False
        self._paused = False
        self._aside = Aside("isthmus-queue-commit")

    def join(self, listener: Listener, timeout_seconds: float) -> list[Chunk]:
        self._listener = listener
        deadline = time.monotonic() + timeout_seconds
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        chunks: list[Chunk] = []
        while not self._admitted and time.monotonic() < deadline:
            chunks += self.poll(1, 0.05)
        return chunks

    def poll(self, limit: int, timeout_seconds: float) -> list[Chunk]:
        if not self._held:
            self._consume(0 if self._paused else limit, time.monotonic() + timeout_seconds)
        for placement in self._place():
            self._rewind(placement)
        raws, self._held = self._held, []
        if any(map(Raw.error, raws)):
            raws = [raw for raw in raws if self._is_record(raw)]
        if not raws:
            self._raise_fault()
        return _chunks(raws)

    def _consume(self, limit: int, deadline: float) -> None:
        """Whatever is here at once, else what comes first before the deadline. The group's callbacks run in here."""
        try:
            if limit:
                self._held = self._consumer.consume(limit, 0.0)
            while not self._held and not self._trouble.refused:
                wait = deadline - time.monotonic()
                first = self._consumer.poll(min(max(wait, 0.0), _SLICE_SECONDS))
                if first is not None:
                    self._held = [first]
                if wait <= 0:
                    break
            if 0 < len(self._held) < limit:
                more = self._consumer.consume(limit - len(self._held), 0.0)
                self._held += more  # only now: a callback may just have taken back what was held
        except KafkaException as error:
            raise classify(error, self._group) from error

    def _is_record(self, raw: Raw) -> bool:
        """Whether it is one, or else an error that the library put among them, to be raised when they are dealt with."""
        error = raw.error()
        if error is None:
            return True
        if error.code() == KafkaError._MAX_POLL_EXCEEDED or error.retriable():
            log.warning("Kafka group %s: %s", self._group, error.str())
        else:
            self._fault = classify(error, raw.topic() or self._group)
        return False

    def _raise_fault(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        if self._trouble.refused:
            try:
                self._trouble.check()
            finally:
                self._trouble.forget()

    def pause(self, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        mine = self._consumer.assignment()
        (self._consumer.pause if paused else self._consumer.resume)(mine)

    def commit(self, commits: Commits) -> None:
        offsets = [TopicPartition(each.topic, each.number, *commit) for each, commit in commits.items()]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise classify(error, self._group) from error
        for result in results:
            if result.error is not None:
                raise classify(result.error, f"{self._group} on {result.topic}/{result.partition}")

    def seek(self, partition: Partition, offset: int) -> None:
        at = TopicPartition(partition.topic, partition.number, offset)
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            _, end = self._consumer.get_watermark_offsets(at, timeout=ANSWER_SECONDS)
            if offset > end:
                raise Invalid(f"offset {offset} is past the end, {end}", name=f"{partition.topic}/{partition.number}")
            while True:
                try:
                    return self._consumer.seek(at)
                except KafkaException as error:
                    # A partition that was assigned a moment ago has no fetcher to tell yet.
                    if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
        except KafkaException as error:
            raise classify(error, f"{partition.topic}/{partition.number}") from error

    def close(self) -> None:
        """The library waits for the broker; where there is none it is left to end by itself."""
        self._aside.start(self._consumer.close)
        self._aside.stop()
        try:
            self._aside.answer(CLOSE_SECONDS)
        except TimeoutError:
            log.warning("Kafka group %s: the broker did not answer the farewell", self._group)

    # ------------------------------------------------------------------------------------ the group's callbacks

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._admitted = True
        self._unplaced.update(Partition(each.topic, each.partition) for each in partitions)
        try:
            starts = [TopicPartition(*each.partition, each.offset) for each in self._place()]
        except AdapterError as error:
            # The library then finds the offsets by itself, and `poll` asks again before it hands anything out.
            log.info("Kafka group %s: %s; asking again", self._group, error)
            starts = partitions
        if starts:
            consumer.incremental_assign(starts)
        if starts and self._paused:
            consumer.pause(starts)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._listener.revoke(self._known(partitions))

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._listener.lose(self._known(partitions))

    def _known(self, partitions: list[TopicPartition]) -> list[Partition]:
        """Those of them that the listener was told of; the others are forgotten."""
        gone = {Partition(each.topic, each.partition) for each in partitions}
        self._held = [raw for raw in self._held if _partition(raw) not in gone]
        known = gone - self._unplaced
        self._unplaced -= gone
        return sorted(known)

    def _place(self) -> list[Placement]:
        """Learn where the group stands on partitions just assigned, before anything of them is handed out."""
        wanted = [TopicPartition(*each) for each in sorted(self._unplaced)]
        if not wanted:
            return []
        try:
            placements = [self._placement(each) for each in self._consumer.committed(wanted, timeout=ANSWER_SECONDS)]
        except KafkaException as error:
            raise classify(error, self._group) from error
        self._unplaced.clear()
        self._listener.assign(placements)
        return placements

    def _rewind(self, placement: Placement) -> None:
        """Go back where records past the beginning came first: they may be left from an assignment before this one."""
        mine = [raw for raw in self._held if raw.error() is None and _partition(raw) == placement.partition]
        if mine and (mine[0].offset() or 0) > placement.offset:
            self._held = [raw for raw in self._held if raw not in mine]
            self.seek(placement.partition, placement.offset)

    def _placement(self, committed: TopicPartition) -> Placement:
        if committed.error is not None:
            raise KafkaException(committed.error)
        offset = committed.offset
        if offset < 0:
            offset, _ = self._consumer.get_watermark_offsets(committed, timeout=ANSWER_SECONDS)
        return Placement(Partition(committed.topic, committed.partition), offset, committed.metadata or "")


def _partition(raw: Raw) -> Partition:
    return Partition(raw.topic() or "", raw.partition() or 0)


def _chunks(raws: list[Raw]) -> list[Chunk]:
    """Built by maps over C functions: a Python loop here would cost more than the library's own work."""
    if not raws:
        return []
    offsets = list(map(Raw.offset, raws))
    values = list(map(Raw.value, raws))
    if None in values:
        values = [value or b"" for value in values]
    messages = list(map(KafkaReceived.__new__, repeat(KafkaReceived, len(raws))))
    deque(map(_set_raw, messages, raws), maxlen=0)
    deque(map(_set_value, messages, values), maxlen=0)
    deque(map(_set_offset, messages, offsets), maxlen=0)
    return [Chunk(_partition(raws[run.start]), offsets[run], messages[run]) for run in _runs(raws)]  # type: ignore[arg-type]


def _runs(raws: list[Raw]) -> list[slice]:
    """Where neighbours are of one partition. The library brings what it fetched partition by partition."""
    numbers = list(map(Raw.partition, raws))
    topics = list(map(Raw.topic, raws))
    if numbers.count(numbers[0]) == len(raws) and topics.count(topics[0]) == len(raws):
        return [slice(0, len(raws))]
    keys = list(zip(topics, numbers, strict=True))
    edges = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]] + [len(keys)]
    return [slice(*edge) for edge in pairwise(edges)]


_set_raw = Received.raw.__set__  # type: ignore[attr-defined]
_set_offset = Received.offset.__set__  # type: ignore[attr-defined]
_set_value = Message.value.__set__  # type: ignore[attr-defined]
