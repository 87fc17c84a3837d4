"""What a subscription needs of a server: records of the partitions that the group gave to this member, and commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.drivers.queue.ledger import Ledger, Partition
from adapters.errors import Transient
from adapters.ports import Message

Commits = Mapping[Partition, tuple[int, str]]
"""For each partition the offset to commit and the text to keep with it."""


class Rebalancing(Transient):
    """The group is giving its partitions out anew: nothing can be committed until `Feed.poll` has dealt with that."""


class Received(Message):
    """A message as it is delivered. It knows its ledger, so that acknowledging it costs one look-up.

    Fields that `raw`, the record as the server's library gave it, holds are taken out of it when first asked for:
    most consumers never look at most of them.
    """

    __slots__ = ("ledger", "offset", "raw")

    ledger: Ledger
    offset: int
    raw: Any

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what is not yet set, so each field is decoded at most once.
        if name in type(self).__slots__ or name in Received.__slots__:
            raise AttributeError(name)
        value = self._decode(name)
        object.__setattr__(self, name, value)
        return value

    def _decode(self, name: str) -> Any:
        raise AttributeError(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Message.__dataclass_fields__)

    __hash__ = None  # type: ignore[assignment]  # as of every message: its headers are a mapping


@dataclass(slots=True)
class Chunk:
    """Neighbouring records of one partition, in the log's order."""

    partition: Partition
    offsets: Sequence[int]
    messages: Sequence[Received]


@dataclass(frozen=True, slots=True)
class Placement:
    """A partition that was given to this member: where to begin, and the text of the group's last commit."""

    partition: Partition
    offset: int
    text: str


class Listener(Protocol):
    """Whom a feed tells about its partitions, always within a call of `poll` or `close`."""

    def assign(self, placements: Iterable[Placement]) -> None:
        """These are ours from now on."""
        ...

    def revoke(self, partitions: Iterable[Partition]) -> Commits:
        """These go to another member; what the feed is to commit of them before they do."""
        ...

    def lose(self, partitions: Iterable[Partition]) -> None:
        """These already are another's."""
        ...


class Feed(Protocol):
    """One member of a group at one server."""

    def join(self, listener: Listener, timeout_seconds: float) -> list[Chunk]:
        """Become a member and wait, at most so long, for the first share; records that came meanwhile."""
        ...

    def poll(self, limit: int, timeout_seconds: float) -> list[Chunk]:
        """Up to `limit` records: those here at once, else the first that come within the timeout."""
        ...

    def pause(self, paused: bool) -> None:
        """While paused, `poll` brings no records but keeps the membership."""
        ...

    def commit(self, commits: Commits) -> None:
        """Make them durable. Raises Rebalancing, Denied or Transient."""
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at this offset. Raises Invalid when it is past the end."""
        ...

    def close(self) -> None:
        """Leave the group and free the connection, within a bounded time."""
        ...
