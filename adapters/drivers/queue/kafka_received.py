"""Messages over librdkafka's own: built a batch at a time, decoded a field at a time and only when asked for."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from itertools import pairwise, repeat
from typing import Any

from confluent_kafka import Message as Raw

from adapters.drivers.queue import headers
from adapters.drivers.queue.feed import Chunk, Received
from adapters.drivers.queue.ledger import Partition
from adapters.ports import Message, Position


class KafkaReceived(Received):
    """A message over the library's own."""

    __slots__ = ()

    def _decode(self, name: str) -> Any:
        return _DECODERS[name](self.raw)


def chunks(raws: list[Raw], *, mixed: bool) -> list[Chunk]:
    """Records as they came, none of them an error; `mixed` where they may be of several partitions.

    Built by maps over C functions: a Python loop here would cost more than the library's own work.
    """
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
    runs = _runs(raws) if mixed else [slice(0, len(raws))]
    return [Chunk(partition_of(raws[run.start]), offsets[run], messages[run]) for run in runs]  # type: ignore[arg-type]


def partition_of(raw: Raw) -> Partition:
    """Where a record came from."""
    return Partition(raw.topic() or "", raw.partition() or 0)


def _runs(raws: list[Raw]) -> list[slice]:
    """Where neighbours are of one partition. The library brings what it fetched partition by partition."""
    numbers = list(map(Raw.partition, raws))
    topics = list(map(Raw.topic, raws))
    if numbers.count(numbers[0]) == len(raws) and topics.count(topics[0]) == len(raws):
        return [slice(0, len(raws))]
    keys = list(zip(topics, numbers, strict=True))
    edges = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]] + [len(keys)]
    return [slice(*edge) for edge in pairwise(edges)]


def _identifier(raw: Any) -> str:
    """The publisher's, or, for a record that another library wrote, its place in the log, which is as lasting."""
    for name, value in raw.headers() or ():
        if name == headers.ID and value:
            return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return f"{raw.topic()}/{raw.partition()}/{raw.offset()}"


_DECODERS: dict[str, Any] = {
    "id": _identifier,
    "key": lambda raw: raw.key(),
    "headers": lambda raw: headers.decode_headers(dict(raw.headers() or ())),
    "position": lambda raw: Position(raw.topic(), raw.partition(), raw.offset()),
    "timestamp": lambda raw: datetime.fromtimestamp(max(0, raw.timestamp()[1]) / 1000, UTC),
    "attempt": lambda raw: 1,
}

_set_raw = Received.raw.__set__  # type: ignore[attr-defined]
_set_offset = Received.offset.__set__  # type: ignore[attr-defined]
_set_value = Message.value.__set__  # type: ignore[attr-defined]
