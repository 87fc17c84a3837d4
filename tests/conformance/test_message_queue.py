"""Every message queue against the one suite: in memory, and the real Apache Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from adapters.conformance.message_queue import SMALL, Crash, MessageQueueSuite
from adapters.conformance.message_queue_members import drain
from adapters.drivers.queue.kafka import KafkaQueue
from adapters.drivers.queue.memory import MemoryQueue
from adapters.settings import QueueSettings
from tests import kafka_server

SESSION_SECONDS = 1.0


class TestMemory(MessageQueueSuite):
    @pytest.fixture
    def queue(self) -> MemoryQueue:
        return MemoryQueue()

    @pytest.fixture
    def small(self, queue: MemoryQueue) -> MemoryQueue:
        queue.most_in_hand = SMALL
        return queue

    @pytest.fixture
    def crash(self, queue: MemoryQueue) -> Crash:
        def crash(
            topic: str, group: str, *, count: int, ack: Sequence[int] = (), by_receive: bool = False
        ) -> list[tuple[int, int, int]]:
            member = queue.subscribe([topic], group=group)
            received = drain(member, count)
            member.ack(received[place] for place in ack)
            if by_receive:
                member.receive(limit=0, timeout_seconds=0)
            else:
                member.commit()
            queue.expire(group)
            return [(m.position.partition, m.position.offset, m.attempt) for m in received]

        return crash


@pytest.fixture(scope="module")
def settings() -> QueueSettings:
    return QueueSettings(brokers=kafka_server.shared().brokers())


@pytest.fixture(scope="module")
def kafka(settings: QueueSettings) -> Iterator[KafkaQueue]:
    queue = KafkaQueue(settings, session_seconds=SESSION_SECONDS)
    yield queue
    queue.close()


class TestKafka(MessageQueueSuite):
    @pytest.fixture
    def queue(self, kafka: KafkaQueue) -> KafkaQueue:
        return kafka

    @pytest.fixture
    def small(self, settings: QueueSettings) -> Iterator[KafkaQueue]:
        queue = KafkaQueue(settings, session_seconds=SESSION_SECONDS, most_in_hand=SMALL)
        yield queue
        queue.close()

    @pytest.fixture
    def crash(self, settings: QueueSettings) -> Crash:
        def crash(
            topic: str, group: str, *, count: int, ack: Sequence[int] = (), by_receive: bool = False
        ) -> list[tuple[int, int, int]]:
            order = {"brokers": settings.brokers, "session_seconds": SESSION_SECONDS, "topic": topic, "group": group}
            order |= {"count": count, "ack": list(ack), "by_receive": by_receive}
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.queue_member", json.dumps(order)], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            with process.stdout:
                line = process.stdout.readline()
                process.kill()
                process.wait(10)
            assert line, f"the member ended with {process.returncode} before it was killed"
            return [tuple(each) for each in json.loads(line)]

        return crash
