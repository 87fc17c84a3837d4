"""How partitions are shared out."""

from __future__ import annotations

import random

from adapters.drivers.queue.ledger import Partition
from adapters.drivers.queue.sharing import share


def everybody(member: str, partition: Partition) -> bool:
    return True


def test_any_change_of_members_leaves_fair_shares_and_moves_little() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(300):
        partitions = [Partition("t", number) for number in range(dice.randrange(0, 20))]
        before: dict[Partition, str] = {}
        for _ in range(4):
            members = dice.sample("abcdef", dice.randrange(0, 6))
            after = share(partitions, members, before, wants=everybody)
            assert set(after) == (set(partitions) if members else set())
            sizes = {member: sum(holder == member for holder in after.values()) for member in members}
            assert not sizes or max(sizes.values()) - min(sizes.values()) <= 1
            stayed = [each for each in partitions if before.get(each) in members]
            moved = [each for each in stayed if after[each] != before[each]]
            fair = len(partitions) // len(members) if members else 0
            crowded = sum(max(0, sum(before.get(e) == m for e in partitions) - fair) for m in members)
            assert len(moved) <= crowded
            before = after


def test_a_partition_goes_only_to_one_who_reads_its_topic() -> None:
    partitions = [Partition("a", 0), Partition("a", 1), Partition("b", 0), Partition("c", 0)]
    reads = {"x": {"a"}, "y": {"a", "b"}}
    after = share(partitions, ["x", "y"], {}, wants=lambda member, each: each.topic in reads[member])
    assert after[Partition("b", 0)] == "y"
    assert Partition("c", 0) not in after
    assert {after[Partition("a", 0)], after[Partition("a", 1)]} <= {"x", "y"}
