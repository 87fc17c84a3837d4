"""The ledger of one partition: which of its records are done, which are in somebody's hands, and how far we may commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from adapters.drivers.queue.past import Past, decode, encode, encode_fresh


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Ledger:
    """What one member knows of a partition from its assignment to its revocation.

    Offsets are acknowledged in any order; the watermark, the first offset that is not done, is all that Kafka can commit,
    and `text` carries what is known above it. `open` is kept ascending: first deliveries come in the log's order and a
    redelivery changes its entry in place, so the watermark is its first key.
    """

    __slots__ = (
        "_fresh",
        "_recorded",
        "_start",
        "_version",
        "alive",
        "awaiting",
        "delivered",
        "due",
        "later",
        "open",
        "partition",
        "waiting",
    )

    def __init__(self, partition: Partition, start: int, text: str | None = "") -> None:
        past = decode(start, text)
        self.partition = partition
        self._start = start
        self.alive = True
        """Whether the partition is still ours. Acknowledging on a dead ledger records nothing."""
        self.open: dict[int, int] = dict(past.open)
        """Offsets delivered to the group and not done, each with how often."""
        self.delivered = past.delivered
        """The first offset never delivered to the group, but for those in `later`."""
        self.later: dict[int, int] = dict(past.later)
        self.due: dict[int, float] = dict(past.due)
        """Wall-clock time, in seconds, before which a nacked offset must not come again."""
        self.awaiting: deque[int] = deque(self.open)
        """Open offsets that an earlier member was given, and that the log has yet to bring to us."""
        self.waiting: set[int] = set()
        """Offsets nacked here, whose messages are kept for redelivery."""
        self._version = 0
        self._fresh = not self.open and not self.later
        """Whether all that is open was delivered once, and none is postponed."""
        self._recorded: tuple[int, int, int] | None = self._state()

    @property
    def watermark(self) -> int:
        """All offsets below it are done."""
        return next(iter(self.open), self.delivered)

    @property
    def in_hand(self) -> int:
        """How many records this member was given and has not acknowledged."""
        return len(self.open) - len(self.awaiting)

    def admit_fresh(self, offsets: Sequence[int]) -> bool:
        """Count the first delivery of all these neighbouring records at once, or do nothing if any may have a past."""
        if self.awaiting or self.later or offsets[0] < self.delivered:
            return False
        self.open.update(dict.fromkeys(offsets, 1))
        self.delivered = offsets[-1] + 1
        return True

    def admit(self, offset: int) -> int:
        """Count a delivery of the record that the log brought: which one this is, from 1; 0 when it is done already."""
        while self.awaiting and self.awaiting[0] < offset:
            self.open.pop(self.awaiting.popleft(), None)  # compaction or retention took it since
        if self.awaiting and self.awaiting[0] == offset:
            self.awaiting.popleft()
            return self.again(offset) if offset in self.open else 0
        if offset < self._start:
            self._begin_again(offset)
        if offset < self.delivered:
            return 0
        self.open[offset] = attempts = self.later.pop(offset, 0) + 1
        self._fresh = self._fresh and attempts == 1
        self.delivered = offset + 1
        return attempts

    def _begin_again(self, offset: int) -> None:
        """The log starts before what was committed: it is another log under the same name, so nothing of it is done."""
        self.open.clear()
        self.awaiting.clear()
        self.later.clear()
        self._start = self.delivered = offset

    def again(self, offset: int) -> int:
        """Count another delivery of an open record: which one this is."""
        self.open[offset] += 1
        self._fresh = False
        self.due.pop(offset, None)
        self._version += 1
        return self.open[offset]

    def postpone(self, offset: int, due: float | None) -> None:
        """The record is to come again, not before `due` (wall-clock seconds) where that is given."""
        self.waiting.add(offset)
        if due is not None:
            self.due[offset] = due
            self._fresh = False
            self._version += 1

    def done(self, offset: int) -> None:
        """Acknowledge one record; one that is not open is left as it is."""
        self.open.pop(offset, None)
        self.due.pop(offset, None)

    def restart(self) -> None:
        """Have the position recorded even where nothing happens after a seek."""
        self._recorded = None

    @property
    def changed(self) -> bool:
        """Whether something happened that the broker does not know."""
        return self._state() != self._recorded

    def recorded(self) -> None:
        """The broker knows everything up to now."""
        self._recorded = self._state()

    def text(self) -> str:
        """What goes into the metadata of a commit of `watermark`."""
        if not self.open:
            self._fresh = not self.later
        if self._fresh and self.open and len(self.open) == self.delivered - self.watermark:
            return encode_fresh(len(self.open))
        return encode(self.watermark, Past(self.delivered, self.open, self.later, self.due))

    def _state(self) -> tuple[int, int, int]:
        return (len(self.open), self.delivered, self._version)
