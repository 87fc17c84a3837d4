"""What a member does when its server fails it: nothing is lost, and nothing is said to be done that is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.drivers.queue.feed import Commits
from adapters.drivers.queue.memory import MemoryFeed, MemoryQueue
from adapters.drivers.queue.subscription import GroupSubscription
from adapters.errors import Invalid, Transient
from adapters.ports import Message, Record


class BrokenFeed(MemoryFeed):
    """A member whose commits fail while `away` is set."""

    away = False
    commits = 0

    def commit(self, commits: Commits) -> None:
        self.commits += 1
        if self.away:
            raise Transient("the broker is away")
        super().commit(commits)


class Grave:
    """Where dead letters go, or, while `closed` is set, do not."""

    def __init__(self) -> None:
        self.closed = False
        self.letters: list[Record] = []

    def __call__(self, topic: str, letter: Record) -> None:
        if self.closed:
            raise Transient("no dead letters now")
        self.letters.append(letter)


@pytest.fixture
def queue() -> MemoryQueue:
    queue = MemoryQueue()
    queue.create_topic("t")
    queue.publish("t", [Record(b"%d" % number) for number in range(10)])
    return queue


@pytest.fixture
def feed(queue: MemoryQueue) -> BrokenFeed:
    return BrokenFeed(queue, "g", ["t"])


@pytest.fixture
def grave() -> Grave:
    return Grave()


@pytest.fixture
def member(feed: BrokenFeed, grave: Grave) -> Iterator[GroupSubscription]:
    member = GroupSubscription(feed, grave, max_attempts=2).join()
    yield member
    feed.away = False
    member.close()


def numbers(messages: list[Message]) -> list[int]:
    return [int(message.value) for message in messages]


def test_what_could_not_be_recorded_is_not_handed_out_yet_and_not_lost(
    member: GroupSubscription, feed: BrokenFeed
) -> None:
    feed.away = True
    for _ in range(2):
        with pytest.raises(Transient):
            member.receive(limit=4, timeout_seconds=0)
    feed.away = False
    messages = member.receive(limit=4, timeout_seconds=0)
    assert numbers(messages) == [0, 1, 2, 3]
    assert [message.attempt for message in messages] == [1, 1, 1, 1]
    assert numbers(member.receive(timeout_seconds=0)) == [4, 5, 6, 7, 8, 9]


def test_a_smaller_limit_after_a_failure_is_kept(member: GroupSubscription, feed: BrokenFeed) -> None:
    feed.away = True
    with pytest.raises(Transient):
        member.receive(limit=8, timeout_seconds=0)
    feed.away = False
    assert numbers(member.receive(limit=3, timeout_seconds=0)) == [0, 1, 2]
    assert numbers(member.receive(limit=3, timeout_seconds=0)) == [3, 4, 5]


def test_acknowledgements_that_failed_to_be_recorded_are_recorded_with_the_next(
    member: GroupSubscription, feed: BrokenFeed, queue: MemoryQueue
) -> None:
    member.ack(member.receive(limit=5, timeout_seconds=0))
    feed.away = True
    with pytest.raises(Transient):
        member.commit()
    assert queue.lag("t", group="g") == 10
    feed.away = False
    member.commit()
    assert queue.lag("t", group="g") == 5


def test_a_dead_letter_that_could_not_be_buried_comes_again(
    member: GroupSubscription, grave: Grave, queue: MemoryQueue
) -> None:
    [message, *_] = member.receive(timeout_seconds=0)
    grave.closed = True
    with pytest.raises(Transient):
        member.dead_letter(message, "why not")
    assert queue.lag("t", group="g") == 10
    [again] = member.receive(timeout_seconds=0)
    assert again.id == message.id
    grave.closed = False
    member.dead_letter(again, "why not")
    assert [letter.id for letter in grave.letters] == [message.id]


def test_a_nack_whose_burial_failed_may_be_said_again_and_buries_once(member: GroupSubscription, grave: Grave) -> None:
    [message, *_] = member.receive(limit=1, timeout_seconds=0)
    member.nack(message)
    [message] = member.receive(limit=1, timeout_seconds=0)
    grave.closed = True
    with pytest.raises(Transient):
        member.nack(message, reason="broken")
    grave.closed = False
    member.nack(message, reason="broken")
    assert [letter.headers["isthmus-reason"] for letter in grave.letters] == ["broken"]
    assert 0 not in numbers(member.receive(timeout_seconds=0)), "what is buried must not come again"


def test_with_nothing_new_nothing_is_committed(member: GroupSubscription, feed: BrokenFeed) -> None:
    member.ack(member.receive(timeout_seconds=0))
    member.commit()
    before = feed.commits
    for _ in range(5):
        assert member.receive(timeout_seconds=0) == []
        member.commit()
    assert feed.commits == before


def test_messages_of_another_group_are_not_acknowledged_here(member: GroupSubscription, queue: MemoryQueue) -> None:
    mine = member.receive(timeout_seconds=0)
    with queue.subscribe(["t"], group="other") as other:
        theirs = other.receive(timeout_seconds=0)
        member.ack(theirs)
        member.nack(theirs[0])
        member.commit()
        other.commit()
        assert queue.lag("t", group="g") == queue.lag("t", group="other") == 10
        member.ack(mine)
        other.ack(theirs[:1])
    member.commit()
    assert (queue.lag("t", group="g"), queue.lag("t", group="other")) == (0, 9)


def test_a_member_that_is_not_admitted_leaves(queue: MemoryQueue, grave: Grave) -> None:
    class Refused(BrokenFeed):
        closed = False

        def join(self, *_: object) -> list:
            raise Transient("no")

        def close(self) -> None:
            self.closed = True

    feed = Refused(queue, "g", ["t"])
    member = GroupSubscription(feed, grave, max_attempts=1)
    with pytest.raises(Transient):
        member.join()
    assert feed.closed
    with pytest.raises(Invalid, match="closed"):
        member.receive()
