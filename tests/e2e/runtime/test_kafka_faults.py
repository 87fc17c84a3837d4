"""What the Kafka driver does when the broker dies, hangs or refuses, and with records that others wrote."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from adapters.conformance.message_queue_members import drain, new_topic, nothing_comes, numbered, values
from adapters.drivers.queue.kafka import KafkaQueue
from adapters.errors import AdapterError, DeadlineExceeded, Invalid, Transient
from adapters.ports import Message, Record, Subscription
from adapters.settings import QueueSettings
from tests import kafka_server
from tests.deadline import until
from tests.kafka_server import KafkaServer

SLACK_SECONDS = 3.0
POLL_SECONDS = 3.0


@pytest.fixture(scope="module")
def own() -> Iterator[KafkaServer]:
    """A broker that may be killed."""
    with kafka_server.kafka_server() as server:
        yield server


@pytest.fixture
def queue() -> Iterator[KafkaQueue]:
    queue = KafkaQueue(
        QueueSettings(brokers=kafka_server.shared().brokers()), session_seconds=1, poll_seconds=POLL_SECONDS
    )
    yield queue
    queue.close()


@pytest.fixture
def fragile(own: KafkaServer) -> Iterator[KafkaQueue]:
    queue = KafkaQueue(QueueSettings(brokers=own.brokers()), session_seconds=2)
    yield queue
    queue.close()


@pytest.fixture
def group() -> str:
    return f"group-{time.monotonic_ns()}"


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """The block takes hardly longer than this, and does not spend the time computing."""
    began, worked = time.monotonic(), time.process_time()
    yield
    assert time.monotonic() - began < seconds + SLACK_SECONDS
    assert time.process_time() - worked < 0.5 + 0.1 * seconds


def drain_until(member: Subscription, wanted: set[int], *, seconds: float = 60) -> list[Message]:
    """Receive until all these numbers have come; a broker that has just woken may refuse a few times."""
    got: list[Message] = []
    deadline = time.monotonic() + seconds
    while not wanted <= {*values(got)}:
        assert time.monotonic() < deadline, f"{wanted - {*values(got)}} did not come in {seconds} s"
        with contextlib.suppress(Transient):
            got += member.receive(timeout_seconds=0.5)
    return got


# ------------------------------------------------------------------------------------------ a broker that goes away


def test_what_was_acknowledged_outlives_a_broker_that_dies_and_returns(
    own: KafkaServer, fragile: KafkaQueue, group: str
) -> None:
    topic = new_topic(fragile, 3)
    stored: list[int] = []
    stop = threading.Event()

    def publish() -> None:
        start = 0
        while not stop.is_set():
            fragile.publish(topic, numbered(50, keys=10, start=start), timeout_seconds=60)
            stored.extend(range(start, start + 50))
            start += 50

    publisher = threading.Thread(target=publish, daemon=True)
    with fragile.subscribe([topic], group=group) as member:
        publisher.start()
        try:
            received = drain(member, 500, ack=True)
            before = len(stored)
            own.stop()
            own.start()
            until(lambda: len(stored) > before + 500, seconds=60, what="publishing to go on after the restart")
        finally:
            stop.set()
            publisher.join(60)
        seen = {message.id for message in received}
        deadline = time.monotonic() + 60
        while len(seen) < len(stored) and time.monotonic() < deadline:
            batch = [message for message in member.receive(timeout_seconds=1) if message.id not in seen]
            seen |= {message.id for message in batch}
            received += batch
    assert sorted(values(received)) == stored, "each once: the producer's own retries stored nothing twice"
    for key in {message.key for message in received}:
        mine = [message for message in received if message.key == key]
        assert values(sorted(mine, key=lambda message: message.position.offset)) == sorted(values(mine))


def test_a_member_can_be_closed_while_the_broker_is_away(own: KafkaServer, fragile: KafkaQueue, group: str) -> None:
    topic = new_topic(fragile, 1)
    fragile.publish(topic, numbered(10))
    member = fragile.subscribe([topic], group=group)
    member.ack(drain(member, 10))
    own.stop()
    try:
        began = time.monotonic()
        with pytest.raises(Transient):
            member.close()
        assert time.monotonic() - began < 20 + SLACK_SECONDS
    finally:
        own.start()


def test_a_broker_that_hangs_holds_nobody_longer_than_said_and_costs_no_core(
    own: KafkaServer, fragile: KafkaQueue, group: str
) -> None:
    topic = new_topic(fragile, 1)
    fragile.publish(topic, numbered(10))
    other = KafkaQueue(QueueSettings(brokers=own.brokers()))
    member = fragile.subscribe([topic], group=group)
    messages = drain(member, 10)
    member.ack(messages[:5])
    with own.frozen():
        with bounded(1.0), pytest.raises(DeadlineExceeded):
            fragile.publish(topic, numbered(1, start=10), timeout_seconds=1)
        with bounded(1.0), pytest.raises(Transient):
            other.publish(topic, numbered(1, start=11), timeout_seconds=1)
        with bounded(10.0), pytest.raises(Transient):
            member.commit()
        with bounded(10.0), contextlib.suppress(Transient):  # once its session is over it has nothing more to record
            assert member.receive(timeout_seconds=0.2) == []
    # The commit may have reached the broker's socket and be taken in on waking, or be refused as too late; likewise the
    # record that was given up on. Nothing that was not acknowledged may be missing.
    again = drain_until(member, {5, 6, 7, 8, 9})
    assert {*values(again)} <= {*range(11)}
    member.ack(again)
    member.close()
    other.close()
    with fragile.subscribe([topic], group=group) as successor:
        assert {*values(successor.receive(timeout_seconds=1))} <= {10}


def test_a_broker_that_is_not_there_is_transient_in_time() -> None:
    queue = KafkaQueue(QueueSettings(brokers="127.0.0.1:1"))
    began = time.monotonic()
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1"):
        queue.publish("topic", numbered(1), timeout_seconds=1)
    assert time.monotonic() - began < 1 + SLACK_SECONDS
    queue.close()


# -------------------------------------------------------------------------------------- a broker that says no


def test_a_record_that_the_topic_refuses_is_invalid_and_the_others_are_stored(queue: KafkaQueue) -> None:
    topic = new_topic(queue, 1)
    queue.delete_topic(topic)
    queue.create_topic(topic, config={"max.message.bytes": "2000"})
    queue.publish(topic, numbered(1))
    with pytest.raises(Invalid, match="1 of 1 records"):
        queue.publish(topic, [Record(bytes(5000))])
    assert queue.ends(topic)[0].offset == 1


def test_a_configuration_that_cannot_be_is_invalid(queue: KafkaQueue) -> None:
    with pytest.raises(Invalid, match="misspelt"):
        queue.create_topic("misspelt-configuration", config={"retention.misspelt": "1"})
    with pytest.raises(Invalid, match="eplication"):
        KafkaQueue(QueueSettings(brokers=kafka_server.shared().brokers(), replication=3)).create_topic("three-copies")


def test_a_message_that_cannot_be_buried_comes_again(queue: KafkaQueue, group: str) -> None:
    topic = new_topic(queue, 1)
    queue.create_topic(topic + ".dlq", config={"max.message.bytes": "200"})
    queue.publish(topic, [Record(bytes(1000), id="too-large-for-its-grave")])
    with queue.subscribe([topic], group=group, max_attempts=1) as member:
        [message] = drain(member, 1)
        with pytest.raises(Invalid):
            member.nack(message, reason="bad")
        [again] = drain(member, 1)
        assert (again.id, again.attempt) == (message.id, 2)
    assert queue.lag(topic, group=group) == 1


# ----------------------------------------------------------------------------------------------- slow handlers


def test_a_handler_slower_than_allowed_loses_its_partitions_and_records_nothing(queue: KafkaQueue, group: str) -> None:
    topic = new_topic(queue, 1)
    queue.publish(topic, numbered(5))
    with queue.subscribe([topic], group=group) as slow:
        messages = drain(slow, 5)
        with queue.subscribe([topic], group=group) as other:
            taken = drain(other, 5)  # comes once `slow` has not called for `poll_seconds`
            slow.ack(messages)
            assert nothing_comes(slow)
            assert slow.assigned() == []
            other.ack(taken[:2])
        assert values(drain(slow, 3)) == [2, 3, 4]


@pytest.mark.parametrize("then", ["del slow; gc.collect()", "pass"], ids=["dropped", "left open until the end"])
def test_a_member_that_lost_its_share_and_is_never_closed_holds_up_nobody(
    queue: KafkaQueue, group: str, then: str
) -> None:
    """The library waits for such a member's callback when it destroys it, in the collector or at the process's end."""
    topic = new_topic(queue, 1)
    queue.publish(topic, numbered(3))
    script = f"""
import gc, sys
from adapters.conformance.message_queue_members import drain
from adapters.drivers.queue.kafka import KafkaQueue
from adapters.settings import QueueSettings

brokers, topic, group = sys.argv[1:]
queue = KafkaQueue(QueueSettings(brokers=brokers), session_seconds=1, poll_seconds={POLL_SECONDS})
slow = queue.subscribe([topic], group=group)
drain(slow, 3)
with queue.subscribe([topic], group=group) as other:
    drain(other, 3)  # comes once `slow` has not called for `poll_seconds`
    {then}
print("ended", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, kafka_server.shared().brokers(), topic, group],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "ended\n"


def test_a_slow_handler_that_says_it_lives_keeps_its_partitions(queue: KafkaQueue, group: str) -> None:
    topic = new_topic(queue, 1)
    queue.publish(topic, numbered(5))
    done = threading.Event()
    taken: list[Message] = []

    def wait_for_a_share() -> None:
        with queue.subscribe([topic], group=group) as other:
            while not done.is_set():
                taken.extend(other.receive(timeout_seconds=0.1))

    rival = threading.Thread(target=wait_for_a_share, daemon=True)
    with queue.subscribe([topic], group=group) as slow:
        messages = drain(slow, 5)
        rival.start()
        try:
            began = time.monotonic()
            while time.monotonic() - began < 2 * POLL_SECONDS:
                assert slow.receive(limit=0, timeout_seconds=0.2) == []
            assert slow.assigned() == [(topic, 0)]
            slow.ack(messages)
            slow.commit()
        finally:
            done.set()
            rival.join(30)
    assert (taken, queue.lag(topic, group=group)) == ([], 0)


# ------------------------------------------------------------------------------------------ records and offsets


def test_records_of_another_library_are_understood(queue: KafkaQueue, group: str) -> None:
    topic = new_topic(queue, 1)
    producer = Producer({"bootstrap.servers": kafka_server.shared().brokers()})
    producer.produce(topic, value=None, key=b"tombstone")
    producer.produce(topic, value=b"v", headers=[("raw", b"\xff\x00"), ("none", None), ("raw", b"second")])
    producer.flush(10)
    with queue.subscribe([topic], group=group) as member:
        first, second = drain(member, 2)
        assert (first.value, first.key, dict(first.headers)) == (b"", b"tombstone", {})
        assert (first.id, second.id) == (f"{topic}/0/0", f"{topic}/0/1")
        assert dict(second.headers) == {"raw": "second", "none": ""}
        member.dead_letter(second, "bytes survive")


def test_header_bytes_that_are_not_text_survive_burial(queue: KafkaQueue, group: str) -> None:
    topic = new_topic(queue, 1)
    producer = Producer({"bootstrap.servers": kafka_server.shared().brokers()})
    producer.produce(topic, value=b"v", headers=[("raw", b"\xff\x00\xfe")])
    producer.flush(10)
    with queue.subscribe([topic], group=group) as member:
        member.dead_letter(drain(member, 1)[0], "kept")
    with queue.subscribe([topic + ".dlq"], group=group) as member:
        [letter] = drain(member, 1)
        assert letter.headers["raw"].encode("utf-8", "surrogateescape") == b"\xff\x00\xfe"


def test_more_than_a_commit_can_remember_is_delivered_again_and_never_lost(queue: KafkaQueue, group: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    topic = new_topic(queue, 1)
    queue.publish(topic, numbered(9_000))
    with queue.subscribe([topic], group=group) as member:
        messages = drain(member, 9_000, limit=3_000)
        done = [message for message in messages if dice.random() < 0.5]
        member.ack(done)
        retried = next(message for message in reversed(messages) if message not in done[-50:])
        member.nack(retried)
        [retried] = drain(member, 1)
    open_ = {int(message.value) for message in messages} - {int(message.value) for message in done}
    with queue.subscribe([topic], group=group) as member:
        again: dict[int, int] = {}
        while batch := member.receive(limit=3_000, timeout_seconds=1):
            again |= {int(message.value): message.attempt for message in batch}
            member.ack(batch)
    assert open_ <= again.keys(), "nothing is lost"
    assert len(again) - len(open_) < 4_500, "and most of what it could remember was remembered"
    assert again[int(retried.value)] == retried.attempt + 1, "nor is a count, wherever it is"


def test_errors_are_the_ports_own(queue: KafkaQueue) -> None:
    for use in (
        lambda: queue.publish("no such topic", numbered(1)),
        lambda: queue.ends("absent"),
        lambda: queue.lag("absent", group="g"),
    ):
        with pytest.raises(AdapterError):
            use()
