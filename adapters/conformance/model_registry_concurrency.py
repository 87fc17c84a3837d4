"""What every model registry promises to many at once, and how a history of compare-and-swaps is judged."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from adapters.errors import Conflict
from adapters.ports import ModelRegistry, ModelVersion

T = TypeVar("T")

FILES = {"weights.safetensors": b"weights"}
THREADS = 16
WAIT_SECONDS = 60.0


class ConcurrencyPromises:
    """A part of `ModelRegistrySuite`."""

    def test_concurrent_registrations_get_different_numbers_without_a_gap(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        def register(index: int) -> ModelVersion:
            files = {"weights.safetensors": b"shared by %d" % (index // 4)}
            return (registry, elsewhere)[index % 2].register(model, files, params={"index": str(index)})

        made = at_once(THREADS, register)
        assert sorted(version.version for version in made) == list(range(1, THREADS + 1))
        assert registry.versions(model) == sorted(made, key=lambda version: -version.version)
        assert {version.params["index"] for version in registry.versions(model)} == {str(n) for n in range(THREADS)}

    def test_of_several_promoters_that_expect_the_same_one_wins(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        for _ in range(3):
            registry.register(model, FILES)
        expected, epoch = None, registry.epoch(model)
        for number in (1, 2, 3):

            def promote(index: int, number: int = number, expected: int | None = expected) -> int | None:
                try:
                    client = (registry, elsewhere)[index % 2]
                    return client.set_alias(model, "champion", number, expected=expected)
                except Conflict:
                    return None

            won = [answer for answer in at_once(THREADS, promote) if answer is not None]
            assert len(won) == 1 and won[0] > epoch
            assert elsewhere.get(model, "champion").version == number
            expected, epoch = number, won[0]

    def test_concurrent_promotions_are_linearizable(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        seed = int.from_bytes(os.urandom(4))
        print(f"seed {seed}")
        for _ in range(4):
            registry.register(model, FILES)
        registry.set_alias(model, "champion", 1)
        clients = (registry, elsewhere)

        def promote(index: int) -> list[Attempt]:
            rng = random.Random(seed + index)
            return [attempt(rng.choice(clients), rng.choice(clients), model, rng.randrange(1, 5)) for _ in range(4)]

        attempts = [one for several in at_once(THREADS, promote) for one in several]
        final = check_linearizable(attempts, start=1)
        assert registry.get(model, "champion").version == elsewhere.get(model, "champion").version == final


@dataclass(frozen=True)
class Attempt:
    """One compare-and-swap: when it began and ended, what it expected, where to, and its epoch when it won."""

    began: float
    ended: float
    expected: int | None
    target: int
    epoch: int | None


def attempt(reader: ModelRegistry, writer: ModelRegistry, model: str, target: int) -> Attempt:
    """Read the champion with one client, and try to move it with the other."""
    expected = reader.get(model, "champion").version
    began = time.perf_counter()
    try:
        epoch = writer.set_alias(model, "champion", target, expected=expected)
    except Conflict:
        epoch = None
    return Attempt(began, time.perf_counter(), expected, target, epoch)


def check_linearizable(attempts: Sequence[Attempt], *, start: int | None) -> int | None:
    """Assert that one order, which keeps to the clock, explains every attempt; the alias's last target."""
    won = sorted((one for one in attempts if one.epoch is not None), key=lambda one: one.epoch or 0)
    assert len({one.epoch for one in won}) == len(won)
    values = [start]
    for one in won:
        assert one.expected == values[-1], f"{one} won while the alias was at {values[-1]}"
        values.append(one.target)
    for place, later in enumerate(won):
        assert all(earlier.began < later.ended for earlier in won[:place]), (
            f"{later} was over before one before it began"
        )
    for lost in (one for one in attempts if one.epoch is None):
        first = max((place for place, one in enumerate(won, 1) if one.ended < lost.began), default=0)
        last = max((place for place, one in enumerate(won, 1) if one.began < lost.ended), default=0)
        possible = values[first : last + 1]
        assert any(value != lost.expected for value in possible), f"{lost} lost while the alias was at {possible}"
    return values[-1]


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """What `work(0)` to `work(count - 1)` return, begun at the same moment, one thread each."""
    barrier = threading.Barrier(count)

    def begin(index: int) -> T:
        barrier.wait(WAIT_SECONDS)
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(WAIT_SECONDS) for future in [pool.submit(begin, index) for index in range(count)]]
