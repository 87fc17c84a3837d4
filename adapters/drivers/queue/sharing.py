"""How partitions are shared out among the members of a group: evenly, and with as few moves as that allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from adapters.drivers.queue.ledger import Partition

M = TypeVar("M")


def share(
    partitions: Iterable[Partition],
    members: Sequence[M],
    before: Mapping[Partition, M],
    *,
    wants: Callable[[M, Partition], bool],
) -> dict[Partition, M]:
    """Who gets each partition. A member keeps what it had, up to its fair share; one nobody wants is left out."""
    shares: dict[int, list[Partition]] = {id(member): [] for member in members}
    fair = -(-len(list(partitions := list(partitions))) // max(1, len(members)))
    homeless: list[Partition] = []
    for each in partitions:
        holder = before.get(each)
        kept = shares.get(id(holder))
        if kept is not None and len(kept) < fair:
            kept.append(each)
        else:
            homeless.append(each)
    for each in homeless:
        takers = [member for member in members if wants(member, each)]
        if takers:
            shares[id(min(takers, key=lambda member: len(shares[id(member)])))].append(each)
    _even_out(shares, members, wants)
    return {each: member for member in members for each in shares[id(member)]}


def _even_out(shares: dict[int, list[Partition]], members: Sequence[M], wants: Callable[[M, Partition], bool]) -> None:
    """Move partitions from the richest to the poorest while that makes them more equal."""
    while members:
        poorest = min(members, key=lambda member: len(shares[id(member)]))
        for richest in sorted(members, key=lambda member: -len(shares[id(member)])):
            movable = [each for each in shares[id(richest)] if wants(poorest, each)]
            if len(shares[id(richest)]) - len(shares[id(poorest)]) > 1 and movable:
                shares[id(richest)].remove(movable[-1])
                shares[id(poorest)].append(movable[-1])
                break
        else:
            return
