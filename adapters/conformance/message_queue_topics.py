"""What topics, positions and lag promise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.conformance.message_queue_members import QueueSuite, drain, new_topic, numbered
from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import MessageQueue, Position


class TopicSuite(QueueSuite):
    def test_a_created_topic_can_be_used_at_once(self, queue: MessageQueue) -> None:
        topic = new_topic(queue, 3)
        assert queue.ends(topic) == [Position(topic, number, 0) for number in range(3)]
        queue.publish(topic, numbered(1))

    def test_creating_a_topic_again_is_no_error_with_other_partitions_a_conflict(
        self, queue: MessageQueue, topic: str
    ) -> None:
        queue.publish(topic, numbered(3))
        queue.create_topic(topic, partitions=1)
        assert queue.ends(topic) == [Position(topic, 0, 3)]
        with pytest.raises(Conflict, match="1 partition"):
            queue.create_topic(topic, partitions=2)

    @pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "a/b", "x" * 250])
    def test_what_cannot_name_a_topic_is_invalid(self, queue: MessageQueue, name: str) -> None:
        with pytest.raises(Invalid, match="topic"):
            queue.create_topic(name)

    def test_a_topic_has_at_least_one_partition(self, queue: MessageQueue) -> None:
        with pytest.raises(Invalid, match="partitions"):
            queue.create_topic("none", partitions=0)

    def test_a_deleted_topic_is_gone_and_a_new_one_of_its_name_is_empty(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        queue.publish(topic, numbered(3))
        queue.delete_topic(topic)
        with pytest.raises(NotFound):
            queue.ends(topic)
        with pytest.raises(NotFound):
            queue.publish(topic, numbered(1))
        queue.create_topic(topic, partitions=2)
        assert [end.offset for end in queue.ends(topic)] == [0, 0]
        queue.publish(topic, numbered(4))
        with queue.subscribe([topic], group=group) as member:
            drain(member, 4)

    def test_deleting_an_absent_topic_is_no_error(self, queue: MessageQueue) -> None:
        queue.delete_topic("never-there")

    def test_ends_are_the_positions_after_the_newest_records(self, queue: MessageQueue) -> None:
        topic = new_topic(queue, 3)
        positions = queue.publish(topic, numbered(30, keys=11))
        newest = [max([p.offset for p in positions if p.partition == number], default=-1) for number in range(3)]
        assert [end.offset for end in queue.ends(topic)] == [offset + 1 for offset in newest]

    def test_a_moment_is_found_by_the_records_timestamps(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group) as member:
            [first] = drain(member, 1)
            while datetime.now(UTC) <= first.timestamp + timedelta(milliseconds=2):
                pass  # two milliseconds: the resolution of a timestamp, and one more
            queue.publish(topic, numbered(3))
            second = drain(member, 1, limit=1)[0]
        assert first.timestamp < second.timestamp
        assert queue.at(topic, first.timestamp - timedelta(days=1)) == [Position(topic, 0, 0)]
        assert queue.at(topic, first.timestamp) == [Position(topic, 0, 0)]
        assert queue.at(topic, first.timestamp + timedelta(microseconds=1)) == [Position(topic, 0, 1)]
        assert queue.at(topic, second.timestamp) == [Position(topic, 0, 1)]
        assert queue.at(topic, second.timestamp + timedelta(days=1)) == [Position(topic, 0, 4)]

    def test_a_moment_needs_a_time_zone(self, queue: MessageQueue, topic: str) -> None:
        with pytest.raises(Invalid, match="time zone"):
            queue.at(topic, datetime(2026, 1, 1))

    def test_to_a_new_group_all_records_are_lag(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 2)
        assert queue.lag(topic, group=group) == 0
        queue.publish(topic, numbered(20))
        assert queue.lag(topic, group=group) == 20

    def test_lag_counts_what_is_not_committed(self, queue: MessageQueue, topic: str, group: str) -> None:
        queue.publish(topic, numbered(10))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 10)
            assert queue.lag(topic, group=group) == 10
            member.ack(messages[:4])
            member.commit()
            assert queue.lag(topic, group=group) == 6
            member.ack(messages[6:])
            member.commit()
            assert queue.lag(topic, group=group) == 6  # a gap is open: the log is done up to it and no further
            member.ack(messages)
        assert queue.lag(topic, group=group) == 0
        queue.publish(topic, numbered(1))
        assert queue.lag(topic, group=group) == 1

    def test_lag_of_an_unknown_topic_is_not_found(self, queue: MessageQueue, group: str) -> None:
        with pytest.raises(NotFound):
            queue.lag("nowhere", group=group)
