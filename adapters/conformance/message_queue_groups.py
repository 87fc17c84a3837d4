"""What members of a group promise as long as messages succeed."""

from __future__ import annotations

import pickle
import random
import time
from collections import Counter

import pytest

from adapters.conformance.message_queue_members import (
    SMALL,
    Crash,
    QueueSuite,
    Worker,
    drain,
    new_topic,
    nothing_comes,
    numbered,
    settle,
    values,
)
from adapters.errors import Invalid
from adapters.ports import Message, MessageQueue, Position

CLOSE_SECONDS = 5.0


class GroupSuite(QueueSuite):
    def test_every_group_gets_every_record(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as one, queue.subscribe([topic], group=group + "-other") as other:
            assert values(drain(one, 10)) == values(drain(other, 10)) == list(range(10))

    def test_one_member_reads_several_topics(self, queue: MessageQueue, group: str) -> None:
        topics = [new_topic(queue, 2), new_topic(queue, 1)]
        queue.publish(topics[0], numbered(10))
        queue.publish(topics[1], numbered(10, start=10))
        with queue.subscribe(topics, group=group) as member:
            assert sorted(values(drain(member, 20))) == list(range(20))
            assert member.assigned() == sorted([(topics[0], 0), (topics[0], 1), (topics[1], 0)])

    def test_two_members_share_the_partitions_and_the_records(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 4)
        with queue.subscribe([topic], group=group) as one, queue.subscribe([topic], group=group) as two:
            settle([one, two], lambda: len(one.assigned()) == len(two.assigned()) == 2, "two partitions each")
            assert sorted(one.assigned() + two.assigned()) == [(topic, number) for number in range(4)]
            queue.publish(topic, numbered(200, keys=40))
            seen: list[Message] = []
            deadline = time.monotonic() + 20
            while len(seen) < 200 and time.monotonic() < deadline:
                for member in (one, two):
                    batch = member.receive(timeout_seconds=0.1)
                    assert {(m.position.topic, m.position.partition) for m in batch} <= set(member.assigned())
                    member.ack(batch)
                    seen += batch
            assert sorted(values(seen)) == list(range(200))

    def test_what_a_closed_member_left_goes_to_another_and_what_it_did_does_not(
        self, queue: MessageQueue, group: str
    ) -> None:
        topic = new_topic(queue, 3)
        queue.publish(topic, numbered(60, keys=20))
        with queue.subscribe([topic], group=group) as one:
            messages = drain(one, 60)
            done = messages[::3]
            one.ack(done)
        with queue.subscribe([topic], group=group) as two:
            again = drain(two, 40)
            assert nothing_comes(two)
        assert Counter(values(again)) + Counter(values(done)) == Counter(range(60))
        assert {message.id for message in again} == {message.id for message in messages} - {m.id for m in done}
        assert {message.attempt for message in again} == {2}

    def test_acknowledged_in_any_order_only_the_rest_comes_again(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(100))
        with queue.subscribe([topic], group=group) as one:
            messages = drain(one, 100)
            one.ack(reversed(messages[20:40]))
            one.ack(messages[5:7])
            one.ack([messages[99], messages[50], messages[50]])
        rest = [n for n in range(100) if n not in {*range(20, 40), 5, 6, 99, 50}]
        with queue.subscribe([topic], group=group) as two:
            assert values(drain(two, len(rest))) == rest
            assert nothing_comes(two)

    def test_a_copy_of_a_message_acknowledges_it_too(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(4))
        with queue.subscribe([topic], group=group) as one:
            messages = drain(one, 4)
            copies = pickle.loads(pickle.dumps(messages))
            assert copies == messages
            one.ack(copies[:3])
        with queue.subscribe([topic], group=group) as two:
            assert values(drain(two, 1)) == [3]

    def test_a_killed_member_leaves_exactly_what_it_had_not_acknowledged(
        self, queue: MessageQueue, topic: str, group: str, crash: Crash
    ) -> None:
        queue.publish(topic, numbered(20))
        received = crash(topic, group, count=15, ack=[0, 1, 2, 7, 9, 14])
        assert received == [(0, offset, 1) for offset in range(15)]
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 14)
            assert nothing_comes(member)
        assert values(messages) == [3, 4, 5, 6, 8, 10, 11, 12, 13, 15, 16, 17, 18, 19]
        assert [message.attempt for message in messages] == [2] * 9 + [1] * 5

    def test_attempts_are_counted_through_one_kill_after_another(
        self, queue: MessageQueue, topic: str, group: str, crash: Crash
    ) -> None:
        queue.publish(topic, numbered(3))
        assert crash(topic, group, count=2) == [(0, 0, 1), (0, 1, 1)]
        assert crash(topic, group, count=3, ack=[1]) == [(0, 0, 2), (0, 1, 2), (0, 2, 1)]
        with queue.subscribe([topic], group=group) as member:
            assert [(m.position.offset, m.attempt) for m in drain(member, 2)] == [(0, 3), (2, 2)]

    def test_receive_makes_acknowledgements_durable(
        self, queue: MessageQueue, topic: str, group: str, crash: Crash
    ) -> None:
        queue.publish(topic, numbered(5))
        crash(topic, group, count=5, ack=[0, 1, 3], by_receive=True)
        with queue.subscribe([topic], group=group) as member:
            assert values(drain(member, 2)) == [2, 4]
            assert nothing_comes(member)

    def test_a_message_whose_partition_was_given_away_cannot_be_acknowledged(
        self, queue: MessageQueue, group: str
    ) -> None:
        topic = new_topic(queue, 2)
        queue.publish(topic, numbered(40, keys=10))
        with queue.subscribe([topic], group=group) as one:
            messages = drain(one, 40)
            with queue.subscribe([topic], group=group) as two:
                _, moved = settle([one, two], lambda: len(one.assigned()) == len(two.assigned()) == 1, "a share each")
                [theirs] = two.assigned()
                lost = [m for m in messages if (m.position.topic, m.position.partition) == theirs]
                one.ack(messages)
                one.commit()
                moved += drain(two, len(lost) - len(moved))
                assert sorted(values(moved)) == sorted(values(lost))
                two.ack(moved[:1])
            # `two` is gone again: of what it did not acknowledge everything returns, whatever `one` said before.
            assert sorted(values(drain(one, len(lost) - 1))) == sorted(values(moved[1:]))

    def test_while_members_come_and_go_every_record_is_done_once(self, queue: MessageQueue, group: str) -> None:
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        dice = random.Random(seed)
        topic = new_topic(queue, 4)
        done: list[int] = []
        members = [Worker(queue, topic, group, done)]
        for step in range(24):
            queue.publish(topic, numbered(50, keys=16, start=50 * step))
            if step % 4 == 3:
                if len(members) == 3 or (len(members) == 2 and dice.random() < 0.5):
                    members.pop(dice.randrange(len(members))).leave()
                else:
                    members.append(Worker(queue, topic, group, done))
        deadline = time.monotonic() + 60
        while len(done) < 1200 and not any(one.failed for one in members):
            assert time.monotonic() < deadline, f"{len(done)} of 1200 records were done in a minute"
            time.sleep(0.01)
        for member in members:
            member.leave()
        assert sorted(done) == list(range(1200))
        assert queue.lag(topic, group=group) == 0

    def test_receive_returns_at_once_when_something_is_there(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group) as member:
            began = time.monotonic()
            assert len(member.receive(timeout_seconds=20)) == 1
            assert time.monotonic() - began < 5

    def test_receive_returns_nothing_after_its_timeout(self, queue: MessageQueue, topic: str, group: str) -> None:
        with queue.subscribe([topic], group=group) as member:
            began = time.monotonic()
            assert member.receive(timeout_seconds=0.2) == []
            assert 0.19 <= time.monotonic() - began < 3

    def test_receive_gives_no_more_than_asked_for(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(25))
        with queue.subscribe([topic], group=group) as member:
            batches = []
            while sum(map(len, batches)) < 25:
                batches.append(member.receive(limit=10, timeout_seconds=5))
            assert max(map(len, batches)) <= 10
            assert values([message for batch in batches for message in batch]) == list(range(25))

    def test_receiving_none_keeps_the_membership_and_records_acknowledgements(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(5))
        with queue.subscribe([topic], group=group) as member:
            member.ack(drain(member, 2))
            assert member.receive(limit=0, timeout_seconds=0.1) == []
            assert queue.lag(topic, group=group) == 3
            assert values(drain(member, 3)) == [2, 3, 4]
            with pytest.raises(Invalid, match="limit"):
                member.receive(limit=-1)

    def test_a_new_group_may_begin_at_the_latest_record(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(5))
        with queue.subscribe([topic], group=group, start="latest") as member:
            queue.publish(topic, numbered(2, start=5))
            assert values(drain(member, 2)) == [5, 6]

    def test_a_group_that_began_at_the_latest_misses_nothing_while_nobody_listens(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(5))
        queue.subscribe([topic], group=group, start="latest").close()
        queue.publish(topic, numbered(3, start=5))
        assert queue.lag(topic, group=group) == 3
        with queue.subscribe([topic], group=group, start="latest") as member:
            assert values(drain(member, 3)) == [5, 6, 7]

    @pytest.mark.parametrize(
        ("topics", "group", "start"), [([], "g", "earliest"), ("text", "g", "earliest"), (["t"], "", "earliest")]
    )
    def test_a_subscription_that_cannot_be_is_invalid(
        self, queue: MessageQueue, topics: list[str], group: str, start: str
    ) -> None:
        with pytest.raises(Invalid):
            queue.subscribe(topics, group=group, start=start)

    def test_an_unknown_start_and_no_attempts_are_invalid(self, queue: MessageQueue, topic: str, group: str) -> None:
        with pytest.raises(Invalid, match="start"):
            queue.subscribe([topic], group=group, start="middle")
        with pytest.raises(Invalid, match="attempts"):
            queue.subscribe([topic], group=group, max_attempts=0)

    def test_a_member_can_seek_as_soon_as_it_has_joined(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as member:
            assert member.assigned() == [(topic, 0)]
            member.seek(Position(topic, 0, 7))
            assert values(drain(member, 3)) == [7, 8, 9]

    def test_seeking_back_replays_what_was_done(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as member:
            before = drain(member, 10, ack=True)
            member.seek(Position(topic, 0, 4))
            again = drain(member, 6)
            assert values(again) == [4, 5, 6, 7, 8, 9]
            assert [message.attempt for message in again] == [1] * 6
            assert [message.id for message in again] == [message.id for message in before[4:]]
            member.ack(before)  # from before the seek: records nothing
        with queue.subscribe([topic], group=group) as member:
            assert values(drain(member, 6)) == [4, 5, 6, 7, 8, 9]

    def test_seeking_forward_skips(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as member:
            drain(member, 2)
            member.seek(Position(topic, 0, 8))
            member.commit()
            assert queue.lag(topic, group=group) == 2
            assert values(drain(member, 2)) == [8, 9]

    def test_one_cannot_seek_past_the_end_or_where_one_is_not(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(3))
        with queue.subscribe([topic], group=group) as member:
            with pytest.raises(Invalid, match="past the end"):
                member.seek(Position(topic, 0, 4))
            with pytest.raises(Invalid, match="not assigned"):
                member.seek(Position(topic, 1, 0))
            with pytest.raises(Invalid, match="offset -1"):
                member.seek(Position(topic, 0, -1))
            assert values(drain(member, 3)) == [0, 1, 2]

    def test_a_member_holds_no_more_than_its_bound(self, small: MessageQueue, topic: str, group: str) -> None:
        small.publish(topic, numbered(4 * SMALL))
        with small.subscribe([topic], group=group) as member:
            held = drain(member, SMALL)
            assert nothing_comes(member)
            member.ack(held[1:11])
            held += drain(member, 10)
            assert nothing_comes(member)
            member.ack(held)
            held += drain(member, 3 * SMALL - 10, ack=True)
        assert values(held) == list(range(4 * SMALL))

    def test_closing_is_quick_and_final(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(100))
        member = queue.subscribe([topic], group=group)
        drain(member, 100)
        began = time.monotonic()
        member.close()
        member.close()
        assert time.monotonic() - began < CLOSE_SECONDS
        for use in (member.receive, member.commit, lambda: member.seek(Position(topic, 0, 0))):
            with pytest.raises(Invalid, match="closed"):
                use()

    def test_a_block_that_raises_leaves_the_group_too(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(3))
        with pytest.raises(KeyError), queue.subscribe([topic], group=group) as member:
            member.ack(drain(member, 2))
            raise KeyError
        with queue.subscribe([topic], group=group) as member:
            assert values(drain(member, 1)) == [2]
