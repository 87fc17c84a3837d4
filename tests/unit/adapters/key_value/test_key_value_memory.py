"""The in-memory store by its own clock, and the scripts' twins held to what Redis would let them do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.drivers.key_value.memory import MemoryKeyValue
from adapters.errors import Invalid
from adapters.ports import Script


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryKeyValue:
    return MemoryKeyValue(clock)


def _script(twin: Callable[..., Any]) -> Script:
    return Script("twin", "return nil", twin)


def test_a_time_to_live_is_kept_to_the_millisecond(store: MemoryKeyValue, clock: Clock) -> None:
    store.set("k", b"x", ttl_seconds=0.0015)  # rounded up to 2 ms
    clock.now += 0.001
    assert store.get("k") == b"x"
    clock.now += 0.00101
    assert store.get("k") is None


def test_what_has_expired_is_absent_to_every_method(store: MemoryKeyValue, clock: Clock) -> None:
    for key in ("a", "b", "c", "d"):
        store.set(key, b"7", ttl_seconds=1)
    clock.now += 2
    assert list(store.scan("")) == []
    assert store.delete(["a"]) == 0
    assert store.increment("b") == 1
    assert store.compare_and_set("c", expected=None, value=b"new")
    assert store.get_many(["a", "b", "c", "d"]) == [None, b"1", b"new", None]


def test_what_has_expired_is_freed_by_later_writes(store: MemoryKeyValue, clock: Clock) -> None:
    for index in range(1000):
        store.set(f"k{index}", b"x", ttl_seconds=1)
        clock.now += 0.01
    assert len(store._entries) <= 101
    assert len(store._expiries) <= 101


def test_an_earlier_expiry_does_not_end_a_later_value(store: MemoryKeyValue, clock: Clock) -> None:
    store.set("k", b"short", ttl_seconds=1)
    store.set("k", b"long", ttl_seconds=10)
    clock.now += 5
    store.set("other", b"x")
    assert store.get("k") == b"long"


def test_a_twin_sets_a_time_to_live_in_milliseconds_and_a_write_without_drops_it(
    store: MemoryKeyValue, clock: Clock
) -> None:
    store.run(_script(lambda _read, write, keys, _args: write(keys[0], b"x", 500)), keys=["short"])
    store.set("kept", b"x", ttl_seconds=0.5)
    store.run(_script(lambda _read, write, keys, _args: write(keys[0], b"y")), keys=["kept"])
    clock.now += 1
    assert store.get_many(["short", "kept"]) == [None, b"y"]


def test_a_twin_deletes_with_none(store: MemoryKeyValue) -> None:
    store.set("k", b"x")
    store.run(_script(lambda _read, write, keys, _args: write(keys[0], None)), keys=["k"])
    assert store.get("k") is None


def test_a_twin_may_touch_only_the_keys_it_was_given(store: MemoryKeyValue) -> None:
    for twin in (lambda read, *_: read("other"), lambda _read, write, *_: write("other", b"x")):
        with pytest.raises(Invalid, match="was not given"):
            store.run(_script(twin), keys=["k"])


@pytest.mark.parametrize("answer", [True, "text", 1.5, [b"x"]])
def test_a_twin_answers_only_what_a_script_can(store: MemoryKeyValue, answer: Any) -> None:
    with pytest.raises(Invalid, match="answers bytes"):
        store.run(_script(lambda *_: answer), keys=["k"])


def test_two_stores_share_nothing() -> None:
    first, second = MemoryKeyValue(), MemoryKeyValue()
    first.set("k", b"x")
    assert second.get("k") is None
    first.close()
    assert first.get("k") is None
