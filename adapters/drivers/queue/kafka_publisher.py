"""Publishing to Kafka: a batch in, its positions out, stored once each by an idempotent producer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Raw

from adapters.drivers.queue import headers
from adapters.drivers.queue.kafka_errors import Trouble, classify
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
                self._opened = Producer({**self._config(), **_SETTINGS, "error_cb": self._trouble.heard})
            return self._opened

    def publish(self, topic: str, records: Sequence[Record], timeout_seconds: float) -> list[Position]:
        """Append all and wait for every acknowledgement."""
        batch = _Batch(topic, len(records))
        deadline = time.monotonic() + timeout_seconds
        self._trouble.forget()
        self._active += 1
        try:
            client = self._client
            for index, record in enumerate(records):
                self._produce(client, batch, index, record, deadline)
            while batch.open:
                client.poll(_SLICE_SECONDS if self._active == 1 else _SHARED_SLICE_SECONDS)
                self._trouble.check()
                if batch.open and time.monotonic() > deadline:
                    what = f"{batch.open} of {len(records)} records of {topic} were not acknowledged in time"
                    raise self._trouble.late(what, deadline - timeout_seconds)
        finally:
            self._active -= 1
        return batch.positions()

    def _produce(self, client: Producer, batch: _Batch, index: int, record: Record, deadline: float) -> None:
        fields: list[tuple[str, str | bytes | None]] = [
            (name, headers.encode_header(value)) for name, value in record.headers.items()
        ]
        fields.append((headers.ID, (record.id or next(self._ids)).encode()))
        while True:
            try:
                return client.produce(
                    batch.topic, record.value, record.key, on_delivery=partial(batch.report, index), headers=fields
                )
            except BufferError:
                client.poll(_SHARED_SLICE_SECONDS)
                self._trouble.check()
                if time.monotonic() > deadline:
                    raise DeadlineExceeded("no room to send in time", name=batch.topic) from None
            except KafkaException as error:
                raise classify(error, batch.topic) from error

    def close(self, timeout_seconds: float) -> None:
        """Send what is still waiting, within the time."""
        with self._lock:
            client, self._opened = self._opened, None
        if client is not None and client.flush(timeout_seconds) > 0:
            raise self._trouble.late("the last records were not acknowledged", time.monotonic() - timeout_seconds)


_SETTINGS = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 2,
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
        topic = self.topic
        return [Position(topic, raw.partition(), raw.offset()) for raw in self._stored]  # type: ignore[union-attr]

    def _failure(self) -> AdapterError:
        errors = [classify(each, self.topic) for each in self._failed]
        worst = min(errors, key=lambda each: _WORST_FIRST.index(type(each)) if type(each) in _WORST_FIRST else 9)
        same = Counter(each.what for each in errors)[worst.what]
        return type(worst)(
            f"{len(errors)} of {len(self._stored)} records were not stored ({same}: {worst.what})",
            name=self.topic,
            cure=worst.cure,
        )
