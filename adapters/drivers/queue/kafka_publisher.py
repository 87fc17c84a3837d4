"""Publishing to Kafka: a batch in, its positions out, stored once each by an idempotent producer."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Raw

from adapters.drivers.queue import headers
from adapters.drivers.queue.kafka_errors import Trouble, classify, new_client
from adapters.errors import AdapterError, DeadlineExceeded, Denied, Invalid, NotFound, Transient
from adapters.ports import Position, Record

_WORST_FIRST = (Denied, NotFound, Invalid, Transient, DeadlineExceeded)
_SLICE_SECONDS = 0.1
_SHARED_SLICE_SECONDS = 0.005  # another thread may be given our reports, so look again soon


class KafkaPublisher:
    """One idempotent producer, shared by all threads. It connects at the first batch."""

    def __init__(self, config: Callable[[], dict[str, Any]], brokers: str) -> None:
        self._config = config
        self._trouble = Trouble(brokers)
        self._lock = threading.Lock()
        self._opened: Producer | None = None
        self._active = 0
        self._ids = headers.ids()

    @property
    def _client(self) -> Producer:
        with self._lock:
            if self._opened is None:
                self._opened = new_client(Producer, {**self._config(), **_SETTINGS, "error_cb": self._trouble.heard})
            return self._opened

    def publish(self, topic: str, records: Sequence[Record], timeout_seconds: float) -> list[Position]:
        """Append all and wait for every acknowledgement."""
        deadline = time.monotonic() + timeout_seconds
        batch = _Batch(topic, len(records))
        self._trouble.forget()
        self._active += 1
        try:
            client = self._client
            self._produce(client, batch, records, deadline)
            while batch.open:
                self._wait(client, deadline)
                if batch.open and time.monotonic() > deadline:
                    what = f"{batch.open} of {len(records)} records of {topic} were not acknowledged in time"
                    raise self._trouble.late(what, deadline - timeout_seconds)
        finally:
            self._active -= 1
        return batch.positions()

    def _produce(self, client: Producer, batch: _Batch, records: Sequence[Record], deadline: float) -> None:
        """Hand every record to the library, which sends while this goes on. A loop for speed: it runs once a record."""
        produce, report, topic, ids = client.produce, batch.report, batch.topic, self._ids
        for index, record in enumerate(records):
            fields: list[tuple[str, str | bytes | None]] = [(headers.ID, record.id or next(ids))]
            if record.headers:
                fields += [(name, headers.encode_header(value)) for name, value in record.headers.items()]
            while True:
                try:
                    produce(topic, record.value, record.key, on_delivery=partial(report, index), headers=fields)
                    break
                except BufferError:
                    self._wait(client, deadline)
                    if time.monotonic() > deadline:
                        raise DeadlineExceeded("no room to send in time", name=topic) from None
                except KafkaException as error:
                    raise classify(error, topic) from error

    def _wait(self, client: Producer, deadline: float) -> None:
        """Send what is collected without lingering, and take in delivery reports, a while at most."""
        longest = _SLICE_SECONDS if self._active == 1 else _SHARED_SLICE_SECONDS
        client.flush(max(0.0, min(longest, deadline - time.monotonic())))
        if self._trouble.refused:
            with self._lock:
                if self._opened is client:
                    self._opened = None  # the next call reads the credentials anew
            self._trouble.check()

    def close(self, timeout_seconds: float) -> None:
        """Send what is still waiting, within the time."""
        with self._lock:
            client, self._opened = self._opened, None
        if client is not None and client.flush(timeout_seconds) > 0:
            raise self._trouble.late("the last records were not acknowledged", time.monotonic() - timeout_seconds)


_SETTINGS = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,  # while records are collected; `flush` then waits for nothing
    # As Java clients do, so that a key's records meet in one partition whoever wrote them.
    "partitioner": "murmur2_random",
    "message.max.bytes": headers.LARGEST_BYTES + 4096,
    "queue.buffering.max.kbytes": 256 * 1024,
    "delivery.timeout.ms": 120_000,
    "topic.metadata.propagation.max.ms": 5_000,
}


class _Batch:
    """The delivery reports of one call."""

    def __init__(self, topic: str, size: int) -> None:
        self.topic = topic
        self.open = size
        self._stored: list[Raw | None] = [None] * size
        self._failed: list[KafkaError] = []

    def report(self, index: int, error: KafkaError | None, raw: Raw) -> None:
        """The library's callback for one record."""
        self.open -= 1
        if error is None:
            self._stored[index] = raw
        else:
            self._failed.append(error)

    def positions(self) -> list[Position]:
        """Where each record is. Raises the worst error if any was not stored."""
        if self._failed:
            raise self._failure()
        stored: list[Any] = self._stored
        positions = list(map(Position.__new__, repeat(Position, len(stored))))
        deque(map(_set_topic, positions, repeat(self.topic)), maxlen=0)
        deque(map(_set_partition, positions, map(Raw.partition, stored)), maxlen=0)
        deque(map(_set_offset, positions, map(Raw.offset, stored)), maxlen=0)
        return positions

    def _failure(self) -> AdapterError:
        errors = [classify(each, self.topic) for each in self._failed]
        worst = min(errors, key=lambda each: _WORST_FIRST.index(type(each)) if type(each) in _WORST_FIRST else 9)
        same = Counter(each.what for each in errors)[worst.what]
        return type(worst)(
            f"{len(errors)} of {len(self._stored)} records were not stored ({same}: {worst.what})",
            name=self.topic,
            cure=worst.cure,
        )


# A dataclass that is frozen sets its fields one by one in Python: three times as slow as this.
_set_topic = Position.topic.__set__  # type: ignore[attr-defined]
_set_partition = Position.partition.__set__  # type: ignore[attr-defined]
_set_offset = Position.offset.__set__  # type: ignore[attr-defined]
