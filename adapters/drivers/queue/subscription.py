"""A member of a consumer group, written once over the feed of a server: all that `ports.Subscription` promises.

Nothing is handed out before the broker knows that it is: a commit carries the watermark and, as text, what is open above
it and how often it was delivered. So a member that is killed loses no count, and its successor repeats only what was open.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count, repeat
from operator import attrgetter

from adapters.drivers.queue.feed import Chunk, Commits, Feed, Placement, Rebalancing, Received
from adapters.drivers.queue.headers import epitaph
from adapters.drivers.queue.ledger import Ledger, Partition
from adapters.errors import AdapterError, Invalid
from adapters.ports import Message, Position, Record

JOIN_SECONDS = 10.0
"""How long `subscribe` waits for the group to admit the member; after it, `receive` goes on waiting."""
RECORD_SECONDS = 10.0
"""How long a commit is tried again while the group is rebalancing."""
MOST_IN_HAND = 10_000

Bury = Callable[[str, Record], None]
"""Publishes a dead letter of a topic."""


class GroupSubscription:
    """`ports.Subscription` over a feed. Messages not acknowledged are at most `most_in_hand`, which bounds the memory."""

    def __init__(self, feed: Feed, bury: Bury, *, max_attempts: int, most_in_hand: int = MOST_IN_HAND) -> None:
        if max_attempts < 1:
            raise Invalid(f"{max_attempts} attempts", name="max_attempts", cure="allow at least 1")
        self._feed = feed
        self._bury = bury
        self._max_attempts = max_attempts
        self._most_in_hand = most_in_hand
        self._ledgers: dict[Partition, Ledger] = {}
        self._ahead: deque[Chunk] = deque()
        self._taken: list[Received] = []
        self._delayed: list[tuple[float, int, Received]] = []
        self._ready: list[tuple[Partition, int, int, Received]] = []
        self._sequence = count()
        self._closed = False

    def join(self) -> GroupSubscription:
        """Wait to be admitted. Raises what keeps the member out."""
        try:
            self._arrived(self._feed.join(self, JOIN_SECONDS))
        except AdapterError:
            self._closed = True
            self._feed.close()
            raise
        return self

    # ------------------------------------------------------------------------------------------ the port

    def receive(self, *, limit: int = 500, timeout_seconds: float = 1.0) -> list[Message]:
        self._require_open()
        if limit < 0:
            raise Invalid(f"a limit of {limit}", name="limit", cure="ask for 1 or more, or 0 to stay a member only")
        if not self._taken:
            self._taken = self._take(limit, time.monotonic() + timeout_seconds)
        self._record()  # where it raises, what was taken stays for the next call
        batch, self._taken = self._taken[:limit], self._taken[limit:]
        return [message for message in batch if message.ledger.alive]

    def ack(self, messages: Iterable[Message]) -> None:
        messages = list(messages)
        try:
            ledgers = set(map(_ledger, messages))
        except AttributeError:
            for message in messages:
                self._ack_one(message)
            return
        for ledger in ledgers:
            if self._ledgers.get(ledger.partition) is ledger:
                mine = messages if len(ledgers) == 1 else [each for each in messages if _ledger(each) is ledger]
                deque(map(ledger.open.pop, map(_offset, mine), repeat(None)), maxlen=0)

    def _ack_one(self, message: Message) -> None:
        """For a message that went through a pickle or was put together anew: it knows its position only."""
        if (ledger := self._ledger_of(message)) is not None:
            ledger.done(message.position.offset)

    def commit(self) -> None:
        self._require_open()
        self._record()

    def nack(self, message: Message, *, delay_seconds: float = 0.0, reason: str = "") -> None:
        if not 0 <= delay_seconds < float("inf"):
            raise Invalid(f"a delay of {delay_seconds} s", name="delay_seconds", cure="give 0 or more")
        ledger = self._ledger_of(message)
        offset = message.position.offset
        if ledger is None or offset not in ledger.open:
            return
        if ledger.open[offset] >= self._max_attempts:
            self._end(ledger, message, reason or f"delivered {ledger.open[offset]} times without success")
        elif offset not in ledger.waiting:
            self._postpone(ledger, message, delay_seconds)

    def dead_letter(self, message: Message, reason: str) -> None:
        ledger = self._ledger_of(message)
        if ledger is not None and message.position.offset in ledger.open:
            self._end(ledger, message, reason)

    def seek(self, position: Position) -> None:
        self._require_open()
        partition = Partition(position.topic, position.partition)
        if partition not in self._ledgers:
            raise Invalid("not assigned to this member", name=f"{position.topic}/{position.partition}")
        if position.offset < 0:
            raise Invalid(f"offset {position.offset}", name=f"{position.topic}/{position.partition}")
        self._feed.seek(partition, position.offset)
        self._drop([partition])
        self._ledgers[partition] = ledger = Ledger(partition, position.offset)
        ledger.restart()

    def assigned(self) -> list[tuple[str, int]]:
        return sorted((topic, number) for topic, number in self._ledgers)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._record()
        finally:
            self._feed.close()
            self._drop(list(self._ledgers))

    def __enter__(self) -> GroupSubscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------- taking records

    def _take(self, limit: int, deadline: float) -> list[Received]:
        """The next records to hand out, redeliveries that are due first, each counted as delivered."""
        while True:
            batch = self._redeliver(limit)
            self._fill(batch, limit)
            if len(batch) < limit or not limit:
                wait = min(deadline, self._delayed[0][0] if self._delayed else deadline) - time.monotonic()
                self._fetch(limit - len(batch), 0.0 if batch else max(0.0, wait))
                self._fill(batch, limit)
            if batch or time.monotonic() >= deadline:
                return batch

    def _fetch(self, limit: int, timeout_seconds: float) -> None:
        """Bring records into `_ahead`, none while too many are unacknowledged: then only the membership is kept."""
        room = min(limit, self._room())
        self._feed.pause(room <= 0)
        if not self._ahead:
            self._arrived(self._feed.poll(max(0, room), timeout_seconds))

    def _arrived(self, chunks: Iterable[Chunk]) -> None:
        self._ahead.extend(chunks)

    def _fill(self, batch: list[Received], limit: int) -> None:
        while self._ahead and (room := min(limit - len(batch), self._room())) > 0:
            batch += self._admit(self._next_chunk(room))

    def _room(self) -> int:
        """How many more may be handed out before some are acknowledged."""
        return self._most_in_hand - sum(ledger.in_hand for ledger in self._ledgers.values())

    def _next_chunk(self, limit: int) -> Chunk:
        chunk = self._ahead[0]
        if len(chunk.offsets) <= limit:
            return self._ahead.popleft()
        self._ahead[0] = Chunk(chunk.partition, chunk.offsets[limit:], chunk.messages[limit:])
        return Chunk(chunk.partition, chunk.offsets[:limit], chunk.messages[:limit])

    def _admit(self, chunk: Chunk) -> list[Received]:
        ledger = self._ledgers.get(chunk.partition)
        if ledger is None:
            return []
        deque(map(_set_ledger, chunk.messages, repeat(ledger)), maxlen=0)
        if ledger.admit_fresh(chunk.offsets):
            return list(chunk.messages)
        return [message for message in chunk.messages if self._admit_one(ledger, message)]

    def _admit_one(self, ledger: Ledger, message: Received) -> bool:
        """Whether to hand it out now: not when it is done, nor when a nack's delay from before is still running."""
        due = ledger.due.get(message.offset)
        if due is not None and due > (now := time.time()) and message.offset in ledger.awaiting:
            ledger.awaiting.remove(message.offset)
            self._postpone(ledger, message, due - now)
            return False
        attempt = ledger.admit(message.offset)
        object.__setattr__(message, "attempt", attempt)
        return attempt > 0

    def _redeliver(self, limit: int) -> list[Received]:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            _, number, message = heapq.heappop(self._delayed)
            heapq.heappush(self._ready, (message.ledger.partition, message.offset, number, message))
        batch: list[Received] = []
        while self._ready and len(batch) < limit:
            message = heapq.heappop(self._ready)[-1]
            ledger, offset = message.ledger, message.offset
            ledger.waiting.discard(offset)
            if ledger.alive and offset in ledger.open:
                object.__setattr__(message, "attempt", ledger.again(offset))
                batch.append(message)
        return batch

    # ---------------------------------------------------------------------------------- records that failed

    def _postpone(self, ledger: Ledger, message: Message, delay_seconds: float) -> None:
        again = _copy(message)
        object.__setattr__(again, "ledger", ledger)
        object.__setattr__(again, "offset", message.position.offset)
        ledger.postpone(again.offset, time.time() + delay_seconds if delay_seconds else None)
        heapq.heappush(self._delayed, (time.monotonic() + delay_seconds, next(self._sequence), again))

    def _end(self, ledger: Ledger, message: Message, reason: str) -> None:
        """Bury it, then acknowledge it: in this order, so that it is never in neither place."""
        offset = message.position.offset
        try:
            self._bury(message.position.topic, epitaph(message, reason))
        except AdapterError:
            if offset not in ledger.waiting:
                self._postpone(ledger, message, 0.0)
            raise
        ledger.done(offset)

    # ----------------------------------------------------------------------------------------- partitions

    def assign(self, placements: Iterable[Placement]) -> None:
        """The feed says: these partitions are ours now."""
        for placement in placements:
            self._ledgers[placement.partition] = Ledger(placement.partition, placement.offset, placement.text)

    def revoke(self, partitions: Iterable[Partition]) -> Commits:
        """The feed says: these go to another member. What was acknowledged of them is recorded, the rest is let go."""
        partitions = list(partitions)
        changed = [ledger for each in partitions if (ledger := self._ledgers.get(each)) is not None and ledger.changed]
        commits = _commits(changed)
        self._drop(partitions)
        return commits

    def lose(self, partitions: Iterable[Partition]) -> None:
        """The feed says: these have become another member's."""
        self._drop(list(partitions))

    def _drop(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            if (ledger := self._ledgers.pop(partition, None)) is not None:
                ledger.alive = False
        kept = [chunk for chunk in self._ahead if chunk.partition not in partitions]
        self._ahead.clear()
        self._ahead.extend(kept)

    def _record(self) -> None:
        """Make all that changed durable. Raises Transient when the server is away or the group does not settle."""
        deadline = time.monotonic() + RECORD_SECONDS
        while changed := [ledger for ledger in self._ledgers.values() if ledger.changed]:
            try:
                self._feed.commit(_commits(changed))
                for ledger in changed:
                    ledger.recorded()
                return
            except Rebalancing:
                if time.monotonic() > deadline:
                    raise
                self._arrived(self._feed.poll(1, 0.05))

    def _ledger_of(self, message: Message) -> Ledger | None:
        """Where this message is accounted for, if its partition is still ours."""
        position = message.position
        ledger = self._ledgers.get(Partition(position.topic, position.partition))
        return ledger if getattr(message, "ledger", ledger) is ledger else None

    def _require_open(self) -> None:
        if self._closed:
            raise Invalid("this subscription is closed", cure="subscribe again")


def _commits(ledgers: Iterable[Ledger]) -> Commits:
    return {ledger.partition: (ledger.watermark, ledger.text()) for ledger in ledgers}


_ledger = attrgetter("ledger")
_offset = attrgetter("offset")
_set_ledger = Received.ledger.__set__  # type: ignore[attr-defined]


def _copy(message: Message) -> Received:
    """The message with fields of its own, so that counting another attempt leaves the caller's as it was."""
    if not isinstance(message, Received):
        message = Received(**{name: getattr(message, name) for name in Message.__dataclass_fields__})
    return replace(message)
