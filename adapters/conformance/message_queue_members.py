"""What the message queue's tests share: topics of their own, members that are drained, and members that die."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from adapters.ports import Message, MessageQueue, Record, Subscription

SMALL = 50
"""How many messages a member of the `small` queue may hold."""
PATIENCE_SECONDS = 30.0
QUIET_SECONDS = 0.3
"""How long nothing must come before a test believes that nothing will."""


class Crash(Protocol):
    """Runs a member that receives `count` messages, acknowledges those at the places `ack`, and dies without a farewell.

    What it acknowledged is durable before it dies: by `commit`, or with `by_receive` by another call of `receive`.
    Returns the (partition, offset, attempt) of what it received, in that order.
    """

    def __call__(
        self, topic: str, group: str, *, count: int, ack: Sequence[int] = (), by_receive: bool = False
    ) -> list[tuple[int, int, int]]: ...


class QueueSuite:
    """The fixtures of all four classes."""

    @pytest.fixture
    def topic(self, queue: MessageQueue) -> str:
        """A new topic with one partition, so that its order is total."""
        return new_topic(queue, 1)

    @pytest.fixture
    def group(self) -> str:
        return f"group-{uuid.uuid4().hex[:12]}"


def new_topic(queue: MessageQueue, partitions: int) -> str:
    """A topic nobody else uses."""
    name = f"topic-{uuid.uuid4().hex[:12]}"
    queue.create_topic(name, partitions=partitions)
    return name


def numbered(count: int, *, keys: int = 0, start: int = 0) -> list[Record]:
    """Records whose values are their numbers; with `keys`, dealt out over so many keys."""
    return [
        Record(b"%d" % number, key=b"key-%d" % (number % keys) if keys else None)
        for number in range(start, start + count)
    ]


def values(messages: Sequence[Message]) -> list[int]:
    """The numbers of `numbered` records."""
    return [int(message.value) for message in messages]


def drain(member: Subscription, count: int, *, limit: int = 500, ack: bool = False) -> list[Message]:
    """Receive exactly `count` messages. Fails when they do not come, or when more do at once."""
    received: list[Message] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(received) < count:
        batch = member.receive(limit=min(limit, count - len(received)), timeout_seconds=0.5)
        if ack:
            member.ack(batch)
        received += batch
        assert time.monotonic() < deadline, f"only {len(received)} of {count} messages came: {received[-3:]}"
    return received


def nothing_comes(member: Subscription) -> bool:
    """Whether it stays quiet."""
    return member.receive(timeout_seconds=QUIET_SECONDS) == []


def settle(members: Sequence[Subscription], settled: Callable[[], bool], what: str) -> list[list[Message]]:
    """Let each member take part in its group until `settled`; what each received meanwhile."""
    received: list[list[Message]] = [[] for _ in members]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not settled():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:g} s for {what}"
        for member, messages in zip(members, received, strict=True):
            messages += member.receive(timeout_seconds=0.05)
    return received


class Worker:
    """A member in a thread of its own, as members are: one that does not call holds up the others' rebalance."""

    def __init__(self, queue: MessageQueue, topic: str, group: str, done: list[int]) -> None:
        self.failed: BaseException | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(queue, topic, group, done), daemon=True)
        self._thread.start()

    def _work(self, queue: MessageQueue, topic: str, group: str, done: list[int]) -> None:
        try:
            with queue.subscribe([topic], group=group) as member:
                while not self._leaving.is_set():
                    batch = member.receive(limit=40, timeout_seconds=0.1)
                    member.ack(batch)
                    done.extend(values(batch))
        except BaseException as error:
            self.failed = error

    def leave(self) -> None:
        """Have it close its subscription, and wait for that. Raises what it failed with."""
        self._leaving.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a member did not leave within a minute"
        if self.failed is not None:
            raise self.failed
