"""What publishing promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from adapters.conformance.message_queue_members import QueueSuite, drain, new_topic, numbered, values
from adapters.errors import Invalid, NotFound
from adapters.ports import MessageQueue, Position, Record

TOO_LARGE_BYTES = 1_100_000
BIG_BATCH = 10_000


class PublishingSuite(QueueSuite):
    def test_positions_come_in_the_order_given(self, queue: MessageQueue, topic: str) -> None:
        first = queue.publish(topic, numbered(3))
        second = queue.publish(topic, numbered(2, start=3))
        assert first + second == [Position(topic, 0, offset) for offset in range(5)]

    def test_each_position_is_where_its_record_is(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 3)
        positions = queue.publish(topic, numbered(60, keys=20))
        with queue.subscribe([topic], group=group) as member:
            found = {int(message.value): message.position for message in drain(member, 60)}
        assert [found[number] for number in range(60)] == positions

    def test_nothing_to_publish_is_no_error(self, queue: MessageQueue, topic: str) -> None:
        assert queue.publish(topic, []) == []

    def test_records_of_one_key_share_a_partition_and_keep_their_order(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 4)
        for start in range(0, 200, 50):
            queue.publish(topic, numbered(50, keys=7, start=start))
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 200, limit=33)
        for key in {message.key for message in messages}:
            mine = [message for message in messages if message.key == key]
            assert len({message.position.partition for message in mine}) == 1
            assert values(mine) == sorted(values(mine))

    def test_records_without_a_key_are_spread(self, queue: MessageQueue) -> None:
        topic = new_topic(queue, 4)
        for _ in range(500):  # a producer may stay with one partition for some milliseconds, which is many batches
            queue.publish(topic, numbered(5))
            if all(end.offset > 0 for end in queue.ends(topic)):
                return
        pytest.fail(f"after 500 batches these are the ends: {queue.ends(topic)}")

    def test_value_key_and_headers_arrive_as_they_were(self, queue: MessageQueue, topic: str, group: str) -> None:
        records = [
            Record(b"\x00\xff", key=b"\xfe\x00", headers={"type": "order", "name": "Zoë ☕", "empty": ""}, id="one"),
            Record(b"", key=None, headers={}, id="two"),
            Record(b"plain", key=b"", headers={"type": "x" * 2000}, id="three"),
        ]
        queue.publish(topic, records)
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, 3)
        assert [(m.value, m.key, dict(m.headers), m.id) for m in messages] == [
            (record.value, record.key, dict(record.headers), record.id) for record in records
        ]
        assert [message.attempt for message in messages] == [1, 1, 1]

    def test_the_timestamp_is_when_it_was_published(self, queue: MessageQueue, topic: str, group: str) -> None:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        queue.publish(topic, numbered(1))
        with queue.subscribe([topic], group=group) as member:
            [message] = drain(member, 1)
        assert before <= message.timestamp <= datetime.now(UTC)

    def test_a_record_without_an_id_is_given_one_of_its_own(self, queue: MessageQueue, topic: str, group: str) -> None:
        for _ in range(3):
            queue.publish(topic, numbered(100))
        with queue.subscribe([topic], group=group) as member:
            ids = [message.id for message in drain(member, 300)]
        assert all(ids)
        assert len(set(ids)) == 300

    def test_the_header_of_the_id_cannot_be_set_by_hand(self, queue: MessageQueue, topic: str) -> None:
        with pytest.raises(Invalid, match="isthmus-id"):
            queue.publish(topic, [Record(b"", headers={"isthmus-id": "mine"})])

    def test_an_unknown_topic_is_not_found_and_not_made(self, queue: MessageQueue, group: str) -> None:
        with pytest.raises(NotFound, match="nowhere"):
            queue.publish("nowhere", numbered(1))
        with pytest.raises(NotFound, match="nowhere"):
            queue.subscribe(["nowhere"], group=group)
        with pytest.raises(NotFound, match="nowhere"):
            queue.ends("nowhere")

    def test_a_record_past_the_limit_is_invalid_and_nothing_of_its_batch_is_stored(
        self, queue: MessageQueue, topic: str
    ) -> None:
        with pytest.raises(Invalid, match="record 2"):
            queue.publish(topic, [*numbered(2), Record(bytes(TOO_LARGE_BYTES))])
        assert queue.ends(topic) == [Position(topic, 0, 0)]

    def test_a_record_just_under_the_limit_is_stored(self, queue: MessageQueue, topic: str, group: str) -> None:
        body = bytes(range(256)) * 3900  # 998,400 bytes
        queue.publish(topic, [Record(body)])
        with queue.subscribe([topic], group=group) as member:
            assert drain(member, 1)[0].value == body

    def test_a_value_that_is_not_bytes_is_invalid(self, queue: MessageQueue, topic: str) -> None:
        with pytest.raises(Invalid, match="record 0"):
            queue.publish(topic, [Record("text")])  # type: ignore[arg-type]

    def test_a_big_batch_is_stored_once_each_and_in_order(self, queue: MessageQueue, group: str) -> None:
        topic = new_topic(queue, 3)
        positions = queue.publish(topic, numbered(BIG_BATCH, keys=50))
        assert len(set(positions)) == BIG_BATCH
        assert sum(end.offset for end in queue.ends(topic)) == BIG_BATCH
        with queue.subscribe([topic], group=group) as member:
            messages = drain(member, BIG_BATCH, limit=1000, ack=True)
        assert sorted(values(messages)) == list(range(BIG_BATCH))
        for key in (b"key-0", b"key-49"):
            mine = values([message for message in messages if message.key == key])
            assert mine == sorted(mine)

    def test_several_threads_publish_at_once_and_each_gets_its_own_positions(
        self, queue: MessageQueue, topic: str, group: str
    ) -> None:
        batches = [numbered(200, start=thread * 200) for thread in range(4)]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda batch: queue.publish(topic, batch), batches))
        with queue.subscribe([topic], group=group) as member:
            found = {int(message.value): message.position for message in drain(member, 800)}
        assert [position for answer in answers for position in answer] == [found[number] for number in range(800)]
