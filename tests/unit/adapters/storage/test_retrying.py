"""Repeating whole operations: what is repeated, how often, how long, and what is said at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from adapters.drivers.storage.deadline import bounded, seconds_left
from adapters.drivers.storage.driver import Refused
from adapters.drivers.storage.memory import MemoryStorage
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient
from adapters.ports import ABSENT, Body, Object, ObjectStorage, Version
from adapters.retry import Budget, Retrying, Unsettled

DEADLINE_SECONDS = 60.0


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Failing(MemoryStorage):
    """Raises what is next in `faults` instead of doing it; what is `after` it happens first."""

    def __init__(self, *faults: AdapterError | None, after: bool = False) -> None:
        super().__init__()
        self.faults, self.after, self.calls = [*faults], after, 0

    def _meet(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return call()
        if self.after:
            call()
        raise fault

    def get(self, key: str) -> Object:
        return self._meet(lambda: MemoryStorage.get(self, key))

    def put(self, key: str, body: Body, **about: Any) -> Version:
        return self._meet(lambda: MemoryStorage.put(self, key, body, **about))

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        return self._meet(lambda: MemoryStorage.delete(self, key, if_version=if_version))


def retrying(inner: ObjectStorage, clock: Clock, **options: Any) -> Retrying:
    options.setdefault("deadline_seconds", DEADLINE_SECONDS)
    return Retrying(inner, clock=clock, sleep=clock.sleep, **options)


def test_a_passing_fault_is_ridden_over() -> None:
    inner, clock = Failing(Transient("one"), Transient("two")), Clock()
    retrying(inner, clock).put("k", b"body")
    assert inner.calls == 3
    assert len(clock.pauses) == 2


@pytest.mark.parametrize("kind", [NotFound, Conflict, Denied, Invalid, AdapterError])
def test_nothing_but_transient_is_repeated(kind: type[AdapterError]) -> None:
    inner, clock = Failing(kind("no")), Clock()
    with pytest.raises(kind):
        retrying(inner, clock).get("k")
    assert (inner.calls, clock.pauses) == (1, [])


def test_pauses_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr("adapters.retry.random.uniform", longest)
    inner, clock = Failing(*[Transient("away")] * 9), Clock()
    inner.put = MemoryStorage.put.__get__(inner)  # type: ignore[method-assign]
    inner.put("k", b"")
    retrying(inner, clock).get("k")
    assert [low for low, _ in asked] == [0.0] * 9
    assert [high for _, high in asked] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_nothing_is_begun_that_could_not_begin_before_the_deadline() -> None:
    inner, clock = Failing(*[Transient("away")] * 99), Clock()
    with pytest.raises(Transient, match=r"away \(attempt \d+, after [\d.]+ s\)") as caught:
        retrying(inner, clock, deadline_seconds=1.0).get("k")
    assert clock.now < 1.0
    assert isinstance(caught.value.__cause__, Transient)


def test_an_operation_knows_its_deadline_and_the_earlier_one_holds() -> None:
    class Asking(MemoryStorage):
        def get(self, key: str) -> Object:
            left.append(seconds_left())
            return super().get(key)

    left: list[float | None] = []
    storage = Retrying(Asking(), deadline_seconds=30.0)
    storage.put("k", b"")
    storage.get("k")
    import time

    with bounded(time.monotonic() + 5.0):
        storage.get("k")
    assert seconds_left() is None
    assert left[0] is not None and 25 < left[0] <= 30
    assert left[1] is not None and left[1] <= 5
    with bounded(time.monotonic() - 1.0), pytest.raises(TimeoutError):
        seconds_left()


def test_the_budget_allows_ten_repetitions_and_a_tenth_of_the_operations() -> None:
    clock = Clock()
    budget = Budget(clock)
    assert [budget.spend() for _ in range(12)].count(True) == 10
    for _ in range(101):
        budget.earn()
    assert [budget.spend() for _ in range(12)].count(True) == 10
    for _ in range(1000):
        budget.earn()
    assert [budget.spend() for _ in range(12)].count(True) == 10, "it does not pile up"


def test_the_budget_of_one_that_asks_seldom_comes_back_with_time() -> None:
    clock = Clock()
    budget = Budget(clock)
    assert all(budget.spend() for _ in range(10))
    assert not budget.spend()
    clock.now += 5.0
    assert budget.spend()
    assert not budget.spend()


def test_when_everything_fails_the_load_stays_under_six_fifths() -> None:
    inner, clock = Failing(*[Transient("away")] * 10_000), Clock()
    storage = retrying(inner, clock, budget=Budget(lambda: 0.0))
    for _ in range(200):
        with pytest.raises(Transient):
            storage.get("k")
    assert 200 < inner.calls <= 1.2 * 200


def test_of_many_only_the_failed_one_is_asked_for_again() -> None:
    class Bulk(Failing):
        def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
            for number, key in enumerate(keys):
                asked.append(key)
                yield Transient("lost", name=key) if number in (1, 3) else MemoryStorage.get(self, key)

    asked: list[str] = []
    inner, clock = Bulk(), Clock()
    for key in "abcde":
        MemoryStorage.put(inner, key, key.encode())
    assert [one.body for one in retrying(inner, clock).get_many("abcde")] == [b"a", b"b", b"c", b"d", b"e"]
    assert asked == [*"abcde"]
    assert inner.calls == 2


def test_of_many_one_that_stays_away_is_raised_in_its_turn() -> None:
    inner, clock = Failing(*[Transient("away")] * 999), Clock()
    answers = retrying(inner, clock).put_each([("a", b""), ("b", b"")])
    assert isinstance(next(answers), Transient)
    with pytest.raises(Transient):
        retrying(inner, clock).put_many([("a", b"")])


def test_a_write_whose_answer_was_lost_is_found_by_its_nonce() -> None:
    inner, clock = Failing(Transient("lost"), after=True), Clock()
    version = retrying(inner, clock).put("k", b"ours", if_version=ABSENT, metadata={"a": "1"})
    assert MemoryStorage.head(inner, "k").version == version
    assert dict(MemoryStorage.head(inner, "k").metadata) == {"a": "1"}
    assert inner.calls == 2


def test_a_lost_race_without_a_lost_answer_stays_a_conflict() -> None:
    inner, clock = Failing(Refused("slow down")), Clock()
    MemoryStorage.put(inner, "k", b"theirs")
    with pytest.raises(Conflict):
        retrying(inner, clock).put("k", b"ours", if_version=ABSENT)


@pytest.mark.parametrize("gone", [False, True])
def test_what_cannot_be_told_is_said_so_and_not_repeated(gone: bool) -> None:
    inner, clock = Failing(Transient("lost")), Clock()
    first = MemoryStorage.put(inner, "k", b"first")
    MemoryStorage.put(inner, "k", b"theirs")
    if gone:
        MemoryStorage.delete(inner, "k")
    with pytest.raises(Unsettled, match="whether this took effect is not known"):
        retrying(inner, clock).put("k", b"ours", if_version=first)
    assert inner.calls == 2


def test_a_deletion_of_a_version_whose_answer_was_lost_is_not_claimed() -> None:
    inner, clock = Failing(Transient("lost"), after=True), Clock()
    version = MemoryStorage.put(inner, "k", b"")
    with pytest.raises(Unsettled):
        retrying(inner, clock).delete("k", if_version=version)


def test_a_plain_write_leaves_no_nonce() -> None:
    inner = MemoryStorage()
    storage = Retrying(inner, deadline_seconds=DEADLINE_SECONDS)
    storage.put("k", b"")
    assert storage.written_by("k")[1] == ""
    version = storage.put("k", b"1", if_version=storage.head("k").version)
    info, nonce = storage.written_by("k")
    assert info.version == version
    assert len(nonce) == 16
    storage.put("k", b"2", if_version=version)
    assert storage.written_by("k")[1] not in ("", nonce)


def test_a_storage_that_cannot_be_wrapped_is_refused_by_name() -> None:
    class Plain:
        """Keeps the port's promises, one may suppose."""

    with pytest.raises(Invalid, match=r"Plain: it cannot be wrapped without .*open_stream"):
        Retrying(Plain(), deadline_seconds=1.0)  # type: ignore[arg-type]
