"""The bookkeeping of one partition against a model that is too simple to be wrong: one entry per record."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from adapters.drivers.queue.ledger import Ledger, Partition

PARTITION = Partition("topic", 0)


@dataclass
class Model:
    """What is true of every record of a log: how often it was delivered and whether it is done."""

    records: list[int]
    """The offsets there are: with gaps, as compaction and transactions leave them."""
    attempts: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)
    """What of it was done when the last commit was made."""

    def watermark(self) -> int:
        """The first record that is not done, among those delivered; past them where all are."""
        delivered = max(self.attempts, default=self.records[0] - 1) + 1
        return min((each for each in self.attempts if each not in self.done), default=delivered)


class Member:
    """A consumer over the log with a ledger, restarted from what it committed."""

    def __init__(self, model: Model, committed: tuple[int, str]) -> None:
        self.model = model
        self.ledger = Ledger(PARTITION, *committed)
        self.log = [each for each in model.records if each >= committed[0]]
        self.hands: list[int] = []

    def fetch(self, count: int) -> None:
        batch, self.log = self.log[:count], self.log[count:]
        if not batch:
            return
        fresh = self.ledger.admit_fresh(batch)
        attempts = [1 if fresh else self.ledger.admit(offset) for offset in batch]
        for offset, attempt in zip(batch, attempts, strict=True):
            if offset in self.model.done:
                assert attempt == 0, f"{offset} is done and came again as attempt {attempt}"
                continue
            self.model.attempts[offset] = self.model.attempts.get(offset, 0) + 1
            assert attempt == self.model.attempts[offset], f"{offset}: attempt {attempt}"
            self.hands.append(offset)

    def acknowledge(self, offset: int) -> None:
        self.ledger.done(offset)
        self.model.done.add(offset)
        self.hands.remove(offset)

    def again(self, offset: int) -> None:
        self.model.attempts[offset] += 1
        assert self.ledger.again(offset) == self.model.attempts[offset]

    def commit(self) -> tuple[int, str]:
        assert self.ledger.watermark <= self.model.watermark()
        committed = (self.ledger.watermark, self.ledger.text())
        self.model.recorded = set(self.model.done)
        self.ledger.recorded()
        assert not self.ledger.changed
        return committed


def test_any_order_of_deliveries_acks_retries_and_crashes_agrees_with_the_model() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(15):
        _one_history(dice)


def _one_history(dice: random.Random) -> None:
    gaps = dice.choice([0.0, 0.0, 0.2])
    start = dice.choice([0, 12_345])
    model = Model([start + i for i in range(dice.randrange(1, 400)) if dice.random() >= gaps] or [start])
    committed = (model.records[0], "")
    member = Member(model, committed)
    for _ in range(2000):
        action = dice.choices(["fetch", "ack", "again", "commit", "crash"], [20, 60, 8, 10, 2])[0]
        if action == "fetch":
            member.fetch(dice.randrange(1, 40))
            committed = member.commit()  # as `receive` does before it hands anything out
        elif action == "ack" and member.hands:
            member.acknowledge(dice.choice(member.hands))
        elif action == "again" and member.hands:
            member.again(dice.choice(member.hands))
            committed = member.commit()
        elif action == "commit":
            committed = member.commit()
        elif action == "crash":
            model.done = set(model.recorded)  # what was acknowledged since the last commit comes again
            member = Member(model, committed)
    while member.hands or member.log:
        member.fetch(50)
        for offset in list(member.hands):
            member.acknowledge(offset)
    assert model.done == set(model.records)
    assert member.commit() == (model.records[-1] + 1, "")


def test_the_watermark_stops_at_the_first_gap_and_jumps_when_it_closes() -> None:
    ledger = Ledger(PARTITION, 10)
    assert ledger.admit_fresh(range(10, 20))
    for offset in (12, 13, 19):
        ledger.done(offset)
    assert ledger.watermark == 10
    ledger.done(10)
    assert ledger.watermark == 11
    ledger.done(11)
    assert ledger.watermark == 14
    for offset in range(14, 19):
        ledger.done(offset)
    assert ledger.watermark == 20


def test_records_that_compaction_took_do_not_hold_the_watermark_back() -> None:
    ledger = Ledger(PARTITION, 0)
    ledger.admit_fresh(range(0, 6))
    successor = Ledger(PARTITION, ledger.watermark, ledger.text())
    assert [successor.admit(offset) for offset in (3, 5, 8)] == [2, 2, 1]
    for offset in (3, 5):
        successor.done(offset)
    assert successor.watermark == 8


def test_an_unfetched_inheritance_is_passed_on() -> None:
    first = Ledger(PARTITION, 0)
    first.admit_fresh(range(0, 100))
    first.done(7)
    first.again(50)
    second = Ledger(PARTITION, first.watermark, first.text())
    assert second.in_hand == 0
    assert second.admit(0) == 2
    assert second.in_hand == 1
    third = Ledger(PARTITION, second.watermark, second.text())
    assert [third.admit(offset) for offset in (0, 1, 7, 50, 100)] == [3, 2, 0, 3, 1]


def test_a_log_that_begins_anew_under_the_same_name_is_delivered_whole() -> None:
    old = Ledger(PARTITION, 500)
    old.admit_fresh(range(500, 510))
    fresh = Ledger(PARTITION, old.watermark, old.text())
    assert [fresh.admit(offset) for offset in range(3)] == [1, 1, 1]
    assert fresh.watermark == 0


def test_only_a_change_is_written() -> None:
    ledger = Ledger(PARTITION, 0)
    assert not ledger.changed
    ledger.admit_fresh([0, 1])
    assert ledger.changed
    ledger.recorded()
    ledger.done(5)
    assert not ledger.changed
    ledger.again(1)
    assert ledger.changed
    ledger.recorded()
    ledger.postpone(0, time.time() + 5)
    assert ledger.changed
