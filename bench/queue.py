"""What the queue costs over confluent-kafka beneath it: `make bench WHICH=queue`.

    python -m bench.queue [--json]

One real broker. Consuming: the port receives, reads every value and acknowledges; the raw loop consumes as many, reads every value
and commits synchronously, so that both have every batch's acknowledgement on the broker before they take the next. Publishing:
both wait for the acknowledgement of every record of a batch. Aim: at least 0.9 of the raw loop's rate.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import Consumer, Producer

from adapters import connect
from adapters.ports import MessageQueue, Record
from adapters.settings import QueueSettings, Settings, StorageSettings
from bench.interleave import Sample, apart, load, ratio, take_turns
from tests.kafka_server import kafka_server

VALUE_BYTES, PARTITIONS = 200, 4
BATCHES = {1: 500, 32: 300, 500: 100}
"""Size of a batch: turns."""
AIM = 0.9


@dataclass
class Line:
    """One row of the report. `rate` is ours over the raw loop's, with its 95 % interval; above 1 we are quicker."""

    call: str
    batch: int
    rate: float
    rate_low: float
    rate_high: float
    cpu: float
    records_per_second: float
    """Of ours, median."""


def publishing(queue: MessageQueue, brokers: str) -> Iterator[Line]:
    raw = Producer(
        {"bootstrap.servers": brokers, "enable.idempotence": True, "acks": "all", "linger.ms": 5, "log_level": 2}
    )
    values = [os.urandom(VALUE_BYTES) for _ in range(max(BATCHES))]

    def produce(topic: str, batch: int) -> None:
        reports: list[Any] = []
        for value in values[:batch]:
            raw.produce(topic, value, on_delivery=lambda error, _: reports.append(error))
        raw.flush()
        assert reports == [None] * batch

    for batch, turns in BATCHES.items():
        topic = _topic(queue, "publish")
        ours = [Record(value) for value in values[:batch]]
        pair = {
            "ours": lambda t=topic, o=ours: queue.publish(t, o),
            "raw": lambda t=topic, b=batch: produce(t, b),
        }
        yield line("publish", batch, take_turns(pair, turns=turns))


def consuming(queue: MessageQueue, brokers: str) -> Iterator[Line]:
    topic = _topic(queue, "consume")
    needed = max(batch * (turns + turns // 10 + 1) for batch, turns in BATCHES.items())
    values = [os.urandom(VALUE_BYTES) for _ in range(500)]
    for _ in range(needed // len(values) + 1):
        queue.publish(topic, [Record(value) for value in values])
    for batch, turns in BATCHES.items():
        with contextlib.ExitStack() as stack:
            pair = {
                "ours": _port_loop(queue, topic, batch, stack),
                "raw": _raw_loop(brokers, topic, batch, stack),
            }
            yield line("receive, ack", batch, take_turns(pair, turns=turns))


def _port_loop(queue: MessageQueue, topic: str, batch: int, stack: contextlib.ExitStack) -> Callable[[], object]:
    member = stack.enter_context(queue.subscribe([topic], group=f"bench-{uuid.uuid4().hex}"))

    def call() -> None:
        left = batch
        while left:
            messages = member.receive(limit=left, timeout_seconds=10)
            left -= sum(1 for message in messages if message.value)
            member.ack(messages)

    call()  # the first batch waits for the group to settle and is not counted
    return call


def _raw_loop(brokers: str, topic: str, batch: int, stack: contextlib.ExitStack) -> Callable[[], object]:
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"bench-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "log_level": 2,
        }
    )
    stack.callback(consumer.close)
    consumer.subscribe([topic])

    def call() -> None:
        left = batch
        while left:
            messages = consumer.consume(left, 10)
            left -= sum(1 for message in messages if message.value())
            consumer.commit(asynchronous=False)

    call()
    return call


def _topic(queue: MessageQueue, purpose: str) -> str:
    topic = f"{purpose}-{uuid.uuid4().hex[:8]}"
    queue.create_topic(topic, partitions=PARTITIONS)
    return topic


def line(call: str, batch: int, samples: dict[str, Sample]) -> Line:
    ours, raw = samples["ours"], samples["raw"]
    rate, low, high = ratio(raw.wall, ours.wall)
    cpu, _, _ = ratio(ours.cpu, raw.cpu)
    return Line(call, batch, rate, low, high, cpu, batch / statistics.median(ours.wall))


def show(one: Line) -> None:
    verdict = "" if one.rate >= AIM else f"  FALLS SHORT of {AIM}"
    print(
        f"{one.call:<14} {one.batch:>5}   {one.rate:5.2f} ({one.rate_low:.2f} to {one.rate_high:.2f})"
        f"   {one.cpu:5.2f}   {one.records_per_second:>10,.0f}/s{verdict}",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Measure and print; 0 always, since a figure that falls short is a result."""
    as_json = "--json" in arguments
    lines: list[Line] = []
    with kafka_server() as server:
        brokers = server.brokers()
        words = apart(int(brokers.rsplit(":", 1)[1]))
        if not as_json:
            print(f"load {load()}, {words}; records of {VALUE_BYTES} bytes, {PARTITIONS} partitions")
            print(f"\n{'call':<14} {'batch':>5}   {'rate, median (95 %)':<19} {'cpu':>6}   {'ours':>12}")
        settings = Settings(cloud="local", storage=StorageSettings(bucket="none"), queue=QueueSettings(brokers=brokers))
        with connect(settings) as platform:
            for measure in (publishing, consuming):
                for one in measure(platform.queue, brokers):
                    lines.append(one)
                    _ = None if as_json else show(one)
    if as_json:
        print(json.dumps({"load": load(), "lines": [asdict(one) for one in lines]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
