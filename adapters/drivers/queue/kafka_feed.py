"""A member of a group at a Kafka broker, on librdkafka's batch consumer.

The library serialises the calls of one consumer and can wait for ever in some, so nothing is called here that waits
without a limit: commits are sent asynchronously and their answers awaited in `poll`, and closing runs beside.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Raw

from adapters.drivers.queue.aside import finishes
from adapters.drivers.queue.feed import Chunk, Commits, Listener, Placement
from adapters.drivers.queue.kafka_errors import Trouble, classify, log, new_client
from adapters.drivers.queue.kafka_received import chunks, partition_of
from adapters.drivers.queue.ledger import Partition
from adapters.errors import AdapterError, Invalid, Transient

ANSWER_SECONDS = 10.0
"""How long to wait for the broker's answer to a commit or to a question about offsets."""
CLOSE_SECONDS = 10.0
_SLICE_SECONDS = 0.2  # how long a refused login can go unnoticed
_LOOK_SECONDS = 0.003
_LONGEST_WAIT_SECONDS = 0.02
_WAIT_SHARE = 0.5
_AHEAD = 500  # records to fetch while a commit is under way


_yield_core = getattr(os, "sched_yield", lambda: time.sleep(0))


_living: weakref.WeakSet[KafkaFeed] = weakref.WeakSet()


@atexit.register
def _leave_all() -> None:
    """At the interpreter's end: a member that was not closed would keep its partitions, and the process from ending."""
    for feed in list(_living):
        feed.close()


class KafkaFeed:
    """One consumer. Its group callbacks run inside `poll`, `commit` and `close`, in the caller's thread."""

    def __init__(self, config: dict[str, Any], topics: Sequence[str], trouble: Trouble) -> None:
        self._consumer = new_client(Consumer, {**config, "on_commit": self._answered})
        self._open = True
        _living.add(self)
        self._topics = list(topics)
        self._trouble = trouble
        self._group: str = config["group.id"]
        self._held: list[Raw] = []
        """Consumed and not yet returned: the library would not bring it again."""
        self._fault: AdapterError | None = None
        self._mine: set[Partition] = set()
        self._unplaced: set[Partition] = set()
        self._admitted = False
        self._paused = False
        self._unanswered = 0
        self._refusals: list[AdapterError] = []

    def join(self, listener: Listener, timeout_seconds: float) -> list[Chunk]:
        self._listener = listener
        deadline = time.monotonic() + timeout_seconds
        self._consumer.subscribe(
            self._topics,
            on_assign=self._guarded(self._assigned),
            on_revoke=self._guarded(self._revoked),
            on_lost=self._guarded(self._lost),
        )
        received: list[Chunk] = []
        while not self._admitted and time.monotonic() < deadline:
            received += self.poll(1, 0.05)
        return received

    def poll(self, limit: int, timeout_seconds: float) -> list[Chunk]:
        self._consume(0 if self._paused else limit, time.monotonic() + timeout_seconds)
        for placement in self._place():
            self._rewind(placement)
        raws, self._held = self._held[:limit], self._held[limit:]
        if any(map(Raw.error, raws)):
            raws = [raw for raw in raws if self._is_record(raw)]
        if not raws:
            self._raise_fault()
        return chunks(raws, mixed=len(self._mine) != 1)

    def _consume(self, limit: int, deadline: float) -> None:
        """Hold whatever is here at once, else what comes first before the deadline. Callbacks run in here."""
        try:
            if not limit:  # the membership is kept by asking, also where nothing is wanted
                self._take_one(min(max(deadline - time.monotonic(), 0.0), _SLICE_SECONDS))
            self._top_up(limit)
            while limit and not self._held and not self._trouble.refused and self._fault is None:
                wait = deadline - time.monotonic()
                self._take_one(min(max(wait, 0.0), _SLICE_SECONDS))
                self._top_up(limit if self._held else 0)
                if wait <= 0:
                    break
        except KafkaException as error:
            raise classify(error, self._group) from error

    def _top_up(self, limit: int) -> None:
        if len(self._held) < limit:
            more = self._consumer.consume(limit - len(self._held), 0.0)
            self._held += more  # only now: a callback may just have taken back what was held

    def _take_one(self, timeout_seconds: float) -> None:
        raw = self._consumer.poll(timeout_seconds)
        if raw is not None:
            self._held.append(raw)

    def _is_record(self, raw: Raw) -> bool:
        """Whether it is one, or else an error that the library put among them, to be raised when they are dealt with."""
        error = raw.error()
        if error is None:
            return True
        if error.code() == KafkaError._MAX_POLL_EXCEEDED or error.retriable():
            log.warning("Kafka group %s: %s", self._group, error.str())
        else:
            self._fault = classify(error, raw.topic() or self._group)
        return False

    def _raise_fault(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        if self._trouble.refused:
            try:
                self._trouble.check()
            finally:
                self._trouble.forget()

    def pause(self, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        mine = self._consumer.assignment()
        (self._consumer.pause if paused else self._consumer.resume)(mine)

    # ------------------------------------------------------------------------------------------------- offsets

    def commit(self, commits: Commits) -> None:
        self._send(commits)
        began = time.monotonic()
        try:
            while self._unanswered:
                waited = time.monotonic() - began
                if waited > ANSWER_SECONDS:
                    raise Transient(
                        f"no answer to a commit within {ANSWER_SECONDS:g} s",
                        name=self._group,
                        cure="the broker is away, or the group waits for a member that does not call receive: try again",
                    )
                self._await_answer(waited)
        except KafkaException as error:
            raise classify(error, self._group) from error
        if self._refusals:
            raise self._refusals[-1]

    def _await_answer(self, waited_seconds: float) -> None:
        """Fetch ahead meanwhile, up to a batch; past it, look for the answer with hardly any records.

        The library ends no wait for records early when an answer comes, and an answer takes about a millisecond. So for
        the first moments it is only looked for, and what is waited after that is a small share of what was waited already.
        """
        if len(self._held) < _AHEAD:
            self._top_up(_AHEAD)
        elif len(self._held) > 4 * _AHEAD:
            self.pause(True)
        looking = waited_seconds < _LOOK_SECONDS
        if self._unanswered:
            self._take_one(0.0 if looking else min(_LONGEST_WAIT_SECONDS, waited_seconds * _WAIT_SHARE))
        if looking:
            _yield_core()

    def _send(self, commits: Commits) -> None:
        offsets = [TopicPartition(each.topic, each.number, *commit) for each, commit in commits.items()]
        if not self._unanswered:
            self._refusals.clear()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise classify(error, self._group) from error
        self._unanswered += 1

    def _answered(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """The library's callback for one commit."""
        self._unanswered -= 1
        errors = [error] if error is not None else [each.error for each in offsets if each.error is not None]
        self._refusals += [classify(each, self._group) for each in errors[:1]]

    def seek(self, partition: Partition, offset: int) -> None:
        name = f"{partition.topic}/{partition.number}"
        at = TopicPartition(partition.topic, partition.number, offset)
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            _, end = self._consumer.get_watermark_offsets(at, timeout=ANSWER_SECONDS)
            if offset > end:
                raise Invalid(f"offset {offset} is past the end, {end}", name=name)
            while not self._sought(at):
                if time.monotonic() > deadline:
                    raise Transient(f"not ready to seek within {ANSWER_SECONDS:g} s", name=name)
                time.sleep(0.01)
        except KafkaException as error:
            raise classify(error, name) from error
        self._held = [raw for raw in self._held if partition_of(raw) != partition]

    def _sought(self, at: TopicPartition) -> bool:
        try:
            self._consumer.seek(at)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            return False  # it was assigned a moment ago and has no fetcher to tell yet
        return True

    def __del__(self) -> None:
        # The library ends a consumer that was not closed only after its partitions were given up, which a callback of ours
        # has to agree to: it would wait for ever inside the garbage collector. So it is closed, beside whoever runs now.
        if getattr(self, "_open", False):
            log.warning("Kafka group %s: a subscription was dropped without close()", self._group)
            self._open = False
            with contextlib.suppress(RuntimeError):  # no thread can be started any more: the interpreter ends
                threading.Thread(target=self._consumer.close, name="isthmus-queue-drop", daemon=True).start()

    def close(self) -> None:
        self._open = False
        _living.discard(self)
        if not finishes(self._consumer.close, CLOSE_SECONDS, name="isthmus-queue-close"):
            log.warning("Kafka group %s: the broker did not answer the farewell", self._group)

    # ------------------------------------------------------------------------------------ the group's callbacks

    def _guarded(
        self, callback: Callable[[list[TopicPartition]], None]
    ) -> Callable[[Consumer, list[TopicPartition]], None]:
        """The library throws away what it was consuming when a callback raises, so none may: `poll` raises it instead."""

        def guarded(_: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(partitions)
            except KafkaException as error:
                self._fault = classify(error, self._group)
            except AdapterError as error:
                self._fault = error

        return guarded

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        self._admitted = True
        coming = {Partition(each.topic, each.partition) for each in partitions}
        self._mine |= coming
        self._unplaced |= coming
        try:
            starts = [TopicPartition(*each.partition, each.offset) for each in self._place()]
        except AdapterError as error:
            # The library then finds the offsets by itself, and `poll` asks again before it hands anything out.
            log.info("Kafka group %s: %s; asking again", self._group, error)
            starts = partitions
        if starts:
            self._consumer.incremental_assign(starts)
        if starts and self._paused:
            self._consumer.pause(starts)

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        # Not awaited: the library lets the partitions go only after what was sent has been answered.
        commits = self._listener.revoke(self._known(partitions))
        if commits:
            self._send(commits)

    def _lost(self, partitions: list[TopicPartition]) -> None:
        self._listener.lose(self._known(partitions))

    def _known(self, partitions: list[TopicPartition]) -> list[Partition]:
        """Those of them that the listener was told of; the others are forgotten."""
        gone = {Partition(each.topic, each.partition) for each in partitions}
        self._held = [raw for raw in self._held if partition_of(raw) not in gone]
        self._mine -= gone
        known = gone - self._unplaced
        self._unplaced -= gone
        return sorted(known)

    def _place(self) -> list[Placement]:
        """Learn where the group stands on partitions just assigned, before anything of them is handed out."""
        wanted = [TopicPartition(*each) for each in sorted(self._unplaced)]
        if not wanted:
            return []
        try:
            placements = [self._placement(each) for each in self._consumer.committed(wanted, timeout=ANSWER_SECONDS)]
        except KafkaException as error:
            raise classify(error, self._group) from error
        self._unplaced.clear()
        self._listener.assign(placements)
        return placements

    def _placement(self, committed: TopicPartition) -> Placement:
        if committed.error is not None:
            raise KafkaException(committed.error)
        offset = committed.offset
        if offset < 0:
            offset, _ = self._consumer.get_watermark_offsets(committed, timeout=ANSWER_SECONDS)
        return Placement(Partition(committed.topic, committed.partition), offset, committed.metadata or "")

    def _rewind(self, placement: Placement) -> None:
        """Go back where records past the beginning came first: they may be left from an assignment before this one."""
        mine = [raw for raw in self._held if raw.error() is None and partition_of(raw) == placement.partition]
        if mine and (mine[0].offset() or 0) > placement.offset:
            self.seek(placement.partition, placement.offset)
