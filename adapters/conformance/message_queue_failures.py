"""What happens to messages that fail: again, later, and in the end as dead letters."""

from __future__ import annotations

import random
import time

import pytest

from adapters.conformance.message_queue_members import (
    Crash,
    QueueSuite,
    drain,
    new_topic,
    nothing_comes,
    numbered,
    values,
)
from adapters.errors import Invalid
from adapters.ports import Message, MessageQueue, Record

DELAY_SECONDS = 0.6


class FailureSuite(QueueSuite):
    def test_a_nacked_message_comes_again_with_its_id_and_one_attempt_more(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, [Record(b"value", key=b"key", headers={"a": "b"}, id="the-id")])
        with queue.subscribe([topic], group=group) as member:
            [first] = drain(member, 1)
            member.nack(first)
            [second] = drain(member, 1)
            assert (first.attempt, second.attempt) == (1, 2)
            assert (second.id, second.value, second.key, dict(second.headers), second.position, second.timestamp) == (
                (first.id, first.value, first.key, dict(first.headers), first.position, first.timestamp)
            )
            member.ack([second])
        assert queue.lag(topic, group=group) == 0

    def test_nacked_without_a_delay_it_comes_before_what_is_behind_it(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(10, keys=1))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 4)
            member.nack(messages[2])
            member.nack(messages[1])
            assert values(drain(member, 8)) == [1, 2, 4, 5, 6, 7, 8, 9]

    def test_nacked_with_a_delay_it_comes_not_before_and_holds_up_nothing(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 3)
            began = time.monotonic()
            member.nack(messages[0], delay_seconds=DELAY_SECONDS)
            assert values(drain(member, 7)) == [3, 4, 5, 6, 7, 8, 9]
            [again] = drain(member, 1)
            assert DELAY_SECONDS <= time.monotonic() - began < DELAY_SECONDS + 3
            assert (again.id, again.attempt) == (messages[0].id, 2)

    def test_delays_end_in_their_own_order(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(3))
        with queue.subscribe([topic], group=group) as member:
            for message, delay in zip(drain(member, 3), (0.6, 0.4, 0.2), strict=True):
                member.nack(message, delay_seconds=delay)
            again = [drain(member, 1)[0] for _ in range(3)]
        assert values(again) == [2, 1, 0]

    def test_a_delay_outlives_the_member(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(3))
        began = time.time()
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 3)
            member.nack(messages[1], delay_seconds=2.0)
            member.ack(messages[:1])
        with queue.subscribe([topic], group=group) as member:
            assert values(drain(member, 1)) == [2]
            [again] = drain(member, 1)
            assert (int(again.value), again.attempt) == (1, 2)
            assert time.time() - began >= 1.99

    def test_a_nacked_message_can_still_be_acknowledged(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(2))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 2)
            member.nack(messages[0])
            member.ack(messages)
            assert nothing_comes(member)
        assert queue.lag(topic, group=group) == 0

    def test_nacking_twice_is_nacking_once(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group) as member:
            [message] = drain(member, 1)
            member.nack(message)
            member.nack(message)
            assert [m.attempt for m in drain(member, 1)] == [2]
            assert nothing_comes(member)

    @pytest.mark.parametrize("delay", [-1.0, float("inf"), float("nan")])
    def test_a_delay_is_finite_and_not_negative(
        self, queue: MessageQueue, topic: str, group: str, delay: float
    ) -> None:
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group) as member:
            [message] = drain(member, 1)
            with pytest.raises(Invalid, match="delay"):
                member.nack(message, delay_seconds=delay)

    def test_attempts_of_nacks_are_counted_through_a_kill(
        self, queue: MessageQueue, topic: str, group: str, crash: Crash
    ) -> None:
        queue.publish(topic, numbered(3))
        with queue.subscribe([topic], group=group) as member:
            [_, second, _] = drain(member, 3)
            member.nack(second)
            [second] = drain(member, 1)
            member.nack(second)
            assert [m.attempt for m in drain(member, 1)] == [3]
        assert crash(topic, group, count=3) == [(0, 0, 2), (0, 1, 4), (0, 2, 2)]

    def test_when_its_attempts_are_used_up_it_becomes_a_dead_letter(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, [Record(b"poison", key=b"key", headers={"kind": "order"}, id="bad-one"), *numbered(2)])
        with queue.subscribe([topic], group=group, max_attempts=3) as member:
            for attempt in (1, 2, 3):
                poison = next(m for m in _receive(member) if m.id == "bad-one")
                assert poison.attempt == attempt
                member.nack(poison, reason="cannot parse")
            assert nothing_comes(member)
        [letter] = _dead_letters(queue, topic, 1)
        assert (letter.id, letter.value, letter.key) == ("bad-one", b"poison", b"key")
        assert dict(letter.headers) == {
            "kind": "order",
            "isthmus-origin": f"{topic}/0/0",
            "isthmus-attempts": "3",
            "isthmus-reason": "cannot parse",
        }
        with queue.subscribe([topic], group=group) as member:
            assert values(drain(member, 2)) == [0, 1]

    def test_a_nack_without_a_reason_still_leaves_one(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group, max_attempts=1) as member:
            member.nack(drain(member, 1)[0])
        [letter] = _dead_letters(queue, topic, 1)
        assert "1 time" in letter.headers["isthmus-reason"]

    def test_a_message_can_be_made_a_dead_letter_at_once(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(4))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 4)
            member.dead_letter(messages[2], "Zoë said so")
            member.dead_letter(messages[2], "twice")
            member.ack([messages[0], messages[1], messages[3]])
        assert queue.lag(topic, group=group) == 0
        [letter] = _dead_letters(queue, topic, 1)
        assert (int(letter.value), letter.headers["isthmus-reason"]) == (2, "Zoë said so")
        assert letter.headers["isthmus-attempts"] == "1"

    def test_dead_letters_of_several_partitions_meet_in_one_topic(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 3)
        queue.publish(topic, numbered(30, keys=10))
        with queue.subscribe([topic], group=group) as member:
            for message in drain(member, 30)[:12]:
                member.dead_letter(message, "no")
        letters = _dead_letters(queue, topic, 12)
        origins = {letter.headers["isthmus-origin"] for letter in letters}
        assert len(origins) == 12
        assert len({letter.id for letter in letters}) == 12

    def test_a_message_whose_partition_was_given_away_is_neither_buried_nor_nacked(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(2))
        with queue.subscribe([topic], group=group) as one:
            messages = drain(one, 2)
        one.dead_letter(messages[0], "too late")
        one.nack(messages[1])
        with queue.subscribe([topic], group=group) as two:
            assert [(int(m.value), m.attempt) for m in drain(two, 2)] == [(0, 2), (1, 2)]

    def test_whatever_happens_each_message_ends_once(self, queue: MessageQueue, group: str) -> None:
        """Random acks, nacks, burials, and members that come and go, some holding messages: all end, none twice."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        dice = random.Random(seed)
        topic = new_topic(queue, 3)
        queue.publish(topic, numbered(300, keys=30))
        attempts: dict[str, int] = {}
        ended: list[str] = []
        member = queue.subscribe([topic], group=group, max_attempts=4)
        deadline = time.monotonic() + 60
        while len(ended) < 300 and time.monotonic() < deadline:
            batch = member.receive(limit=dice.randrange(1, 80), timeout_seconds=0.2)
            for message in dice.sample(batch, len(batch)):
                assert message.id not in ended, f"{message} came again after its end"
                assert message.attempt > attempts.get(message.id, 0)
                attempts[message.id] = message.attempt
                match dice.choices(["ack", "nack", "later", "bury", "forget"], [70, 10, 5, 3, 2])[0]:
                    case "ack":
                        member.ack([message])
                        ended.append(message.id)
                    case "bury":
                        member.dead_letter(message, "dice")
                        ended.append(message.id)
                    case "nack" | "later" as how:
                        member.nack(message, delay_seconds=dice.random() * 0.2 if how == "later" else 0.0)
                        if message.attempt >= 4:
                            ended.append(message.id)
            if dice.random() < 0.15:
                member.close()
                member = queue.subscribe([topic], group=group, max_attempts=4)
        member.close()
        assert len(ended) == 300, f"{300 - len(ended)} messages never ended"
        assert queue.lag(topic, group=group) == 0


def _receive(member: object) -> list[Message]:
    messages = member.receive(timeout_seconds=10)  # type: ignore[attr-defined]
    assert messages, "nothing came within 10 s"
    return messages


def _dead_letters(queue: MessageQueue, topic: str, count: int) -> list[Message]:
    with queue.subscribe([topic + ".dlq"], group="undertaker") as member:
        letters = drain(member, count)
        assert nothing_comes(member)
    return letters
