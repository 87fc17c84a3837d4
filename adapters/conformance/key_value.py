"""What every key-value store promises, one test a promise. Give the class a fixture `key_value` and run it with pytest.

    class TestRedis(KeyValueSuite):
        @pytest.fixture
        def key_value(self): ...

Scripts are compared with their Python twins on an in-memory store, over the same seeded random calls.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from adapters.conformance.key_value_scripts import FAILING, SET_IF_GREATER, TOKEN_BUCKET
from adapters.drivers.key_value.memory import MemoryKeyValue
from adapters.errors import Invalid
from adapters.ports import KeyValue, Script

T = TypeVar("T")

INTEGER_MAX = (1 << 63) - 1
SHORT_SECONDS = 0.15
LONG_SECONDS = 600.0


class KeyValueSuite:
    """The promises of `adapters.ports.KeyValue`. The store may hold other keys; each test uses its own."""

    @pytest.fixture
    def name(self) -> str:
        """A prefix that no other test uses."""
        return f"test-{os.urandom(6).hex()}-"

    # ------------------------------------------------------------------------------------------------ one key

    def test_an_absent_key_is_none(self, key_value: KeyValue, name: str) -> None:
        assert key_value.get(name) is None

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", bytes(range(256)) * 4096], ids=["empty", "binary", "1MiB"])
    def test_a_value_comes_back_byte_for_byte(self, key_value: KeyValue, name: str, value: bytes) -> None:
        key_value.set(name, value)
        assert key_value.get(name) == value

    @pytest.mark.parametrize("key", ["ключ", "a b\nc", "*?[x]\\^", "{", "}{", "{}a", "a{b}c", "k" * 5000, "🗝"])
    def test_any_text_is_a_key(self, key_value: KeyValue, name: str, key: str) -> None:
        key_value.set(name + key, key.encode())
        assert key_value.get(name + key) == key.encode()
        assert list(key_value.scan(name + key)) == [name + key]

    def test_a_set_replaces_the_value(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"one")
        key_value.set(name, b"two")
        assert key_value.get(name) == b"two"

    @pytest.mark.parametrize("value", ["text", 1, None, 1.5])
    def test_a_value_that_is_not_bytes_is_refused_by_name(self, key_value: KeyValue, name: str, value: Any) -> None:
        with pytest.raises(Invalid, match="bytes") as refusal:
            key_value.set(name, value)
        assert refusal.value.name == name
        assert key_value.get(name) is None

    @pytest.mark.parametrize("body", [bytearray(b"xyz"), memoryview(b"xyz")])
    def test_any_buffer_is_a_value(self, key_value: KeyValue, name: str, body: Any) -> None:
        key_value.set(name, body)
        assert key_value.get(name) == b"xyz"

    @pytest.mark.parametrize("key", ["", b"bytes", None, "\ud800"])
    def test_what_is_no_key_is_refused(self, key_value: KeyValue, key: Any) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: key_value.get(key),
            lambda: key_value.set(key, b"x"),
            lambda: key_value.get_many([key]),
            lambda: key_value.set_many({key: b"x"}),
            lambda: key_value.delete([key]),
            lambda: key_value.increment(key),
            lambda: key_value.compare_and_set(key, expected=None, value=b"x"),
        ]
        for call in calls:
            with pytest.raises(Invalid):
                call()

    # --------------------------------------------------------------------------------------------- time to live

    def test_a_key_is_gone_after_its_time_to_live_and_not_before(self, key_value: KeyValue, name: str) -> None:
        began = time.monotonic()
        key_value.set(name, b"x", ttl_seconds=SHORT_SECONDS)
        while key_value.get(name) is not None:
            assert time.monotonic() - began < SHORT_SECONDS + 5, "the key outlived its time by seconds"
            time.sleep(0.005)
        # Redis counts milliseconds of its own clock: one may be cut off at either end.
        assert time.monotonic() - began >= SHORT_SECONDS - 0.002

    def test_a_set_without_a_time_to_live_drops_the_earlier_one(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"short", ttl_seconds=SHORT_SECONDS)
        key_value.set(name, b"stays")
        self._wait_past_short(key_value, name + "marker")
        assert key_value.get(name) == b"stays"

    def test_a_later_time_to_live_replaces_the_earlier_one(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"short", ttl_seconds=SHORT_SECONDS)
        key_value.set(name, b"long", ttl_seconds=LONG_SECONDS)
        self._wait_past_short(key_value, name + "marker")
        assert key_value.get(name) == b"long"

    @pytest.mark.parametrize("count", [1, 3])
    def test_set_many_gives_every_key_the_time_to_live(self, key_value: KeyValue, name: str, count: int) -> None:
        keys = [f"{{{name}}}{index}" for index in range(count)]
        key_value.set_many(dict.fromkeys(keys, b"x"), ttl_seconds=SHORT_SECONDS)
        assert key_value.get_many(keys) == [b"x"] * count
        self._wait_past_short(key_value, name + "marker")
        assert key_value.get_many(keys) == [None] * count

    @pytest.mark.parametrize("ttl", [0, -1.0, float("nan"), float("inf"), 1e12])
    def test_a_time_to_live_that_cannot_be_is_refused_and_nothing_is_stored(
        self, key_value: KeyValue, name: str, ttl: float
    ) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: key_value.set(name, b"x", ttl_seconds=ttl),
            lambda: key_value.set_many({name: b"x"}, ttl_seconds=ttl),
            lambda: key_value.increment(name, ttl_seconds=ttl),
            lambda: key_value.compare_and_set(name, expected=None, value=b"x", ttl_seconds=ttl),
        ]
        for call in calls:
            with pytest.raises(Invalid, match="ttl_seconds"):
                call()
        assert key_value.get(name) is None

    # ------------------------------------------------------------------------------------------------ many keys

    def test_get_many_answers_in_the_order_asked(self, key_value: KeyValue, name: str) -> None:
        key_value.set_many({f"{name}{index}": b"%d" % index for index in range(50)})
        asked = [f"{name}{index}" for index in (7, 99, 3, 7, 49)]
        assert key_value.get_many(asked) == [b"7", None, b"3", b"7", b"49"]

    def test_nothing_asked_is_nothing_answered(self, key_value: KeyValue) -> None:
        assert key_value.get_many([]) == []
        assert key_value.delete([]) == 0
        key_value.set_many({})

    @pytest.mark.parametrize("ttl", [None, LONG_SECONDS])
    def test_readers_see_all_of_a_set_many_of_one_slot_or_none(
        self, key_value: KeyValue, name: str, ttl: float | None
    ) -> None:
        keys = [f"{{{name}}}{index}" for index in range(3)]
        key_value.set_many(dict.fromkeys(keys, b"0"), ttl_seconds=ttl)
        done = threading.Event()
        torn: list[list[bytes | None]] = []

        def watch() -> int:
            reads = 0
            while not done.is_set():
                seen = key_value.get_many(keys)
                reads += 1
                if len(set(seen)) != 1:
                    torn.append(seen)
            return reads

        with ThreadPoolExecutor(1) as pool:
            reads = pool.submit(watch)
            try:
                for index in range(200):
                    key_value.set_many(dict.fromkeys(keys, b"%d" % index), ttl_seconds=ttl)
            finally:
                done.set()
            assert reads.result(30) > 0
        assert not torn

    def test_delete_counts_what_was_there(self, key_value: KeyValue, name: str) -> None:
        key_value.set_many({name + "a": b"1", name + "b": b"2"})
        assert key_value.delete([name + "a", name + "a", name + "absent", name + "b"]) == 2
        assert key_value.get_many([name + "a", name + "b"]) == [None, None]
        assert key_value.delete([name + "a"]) == 0

    # ------------------------------------------------------------------------------------------ compare and set

    def test_compare_and_set_stores_only_over_what_was_expected(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"old")
        assert not key_value.compare_and_set(name, expected=b"other", value=b"new")
        assert not key_value.compare_and_set(name, expected=None, value=b"new")
        assert key_value.get(name) == b"old"
        assert key_value.compare_and_set(name, expected=b"old", value=b"new")
        assert key_value.get(name) == b"new"

    def test_compare_and_set_creates_only_what_is_absent(self, key_value: KeyValue, name: str) -> None:
        assert not key_value.compare_and_set(name, expected=b"", value=b"new")
        assert key_value.compare_and_set(name, expected=None, value=b"")
        assert key_value.get(name) == b""
        assert not key_value.compare_and_set(name, expected=None, value=b"again")

    def test_compare_and_set_deletes_only_what_was_expected(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"mine")
        assert not key_value.compare_and_set(name, expected=b"other", value=None)
        assert key_value.compare_and_set(name, expected=b"mine", value=None)
        assert key_value.get(name) is None
        assert key_value.compare_and_set(name, expected=None, value=None)

    def test_compare_and_set_keeps_or_drops_the_time_to_live_as_set_does(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name, b"a", ttl_seconds=SHORT_SECONDS)
        assert key_value.compare_and_set(name, expected=b"a", value=b"b")
        assert key_value.compare_and_set(name + "2", expected=None, value=b"b", ttl_seconds=SHORT_SECONDS)
        self._wait_past_short(key_value, name + "marker")
        assert key_value.get_many([name, name + "2"]) == [b"b", None]

    def test_of_many_that_compare_and_set_at_once_one_wins(self, key_value: KeyValue, name: str) -> None:
        for key in (f"{name}{attempt}" for attempt in range(10)):
            wins = _at_once(8, _claim(key_value, key))
            assert wins.count(True) == 1
            assert key_value.get(key) == b"%d" % wins.index(True)

    # ------------------------------------------------------------------------------------------------ increment

    def test_increment_counts_from_zero_and_answers_the_sum(self, key_value: KeyValue, name: str) -> None:
        assert key_value.increment(name) == 1
        assert key_value.increment(name, 41) == 42
        assert key_value.increment(name, -50) == -8
        assert key_value.get(name) == b"-8"

    @pytest.mark.parametrize("ttl", [None, LONG_SECONDS])
    def test_no_increment_is_lost(self, key_value: KeyValue, name: str, ttl: float | None) -> None:
        sums = _at_once(8, lambda _: [key_value.increment(name, ttl_seconds=ttl) for _ in range(25)])
        assert sorted(sum_ for part in sums for sum_ in part) == list(range(1, 201))

    @pytest.mark.parametrize("ttl", [None, LONG_SECONDS])
    def test_sums_are_exact_to_64_bits_and_overflow_is_refused(
        self, key_value: KeyValue, name: str, ttl: float | None
    ) -> None:
        key_value.set(name, b"%d" % (INTEGER_MAX - 2))
        assert key_value.increment(name, ttl_seconds=ttl) == INTEGER_MAX - 1
        assert key_value.increment(name, ttl_seconds=ttl) == INTEGER_MAX
        with pytest.raises(Invalid):
            key_value.increment(name, ttl_seconds=ttl)
        with pytest.raises(Invalid):
            key_value.increment(name, INTEGER_MAX + 1)
        assert key_value.get(name) == b"%d" % INTEGER_MAX

    @pytest.mark.parametrize("value", [b"", b"abc", b"1.5", b"+1", b"007", b" 1", b"1 ", b"-0", b"9" * 30])
    def test_incrementing_what_is_no_integer_is_refused_by_name(
        self, key_value: KeyValue, name: str, value: bytes
    ) -> None:
        key_value.set(name, value)
        for ttl in (None, LONG_SECONDS):
            with pytest.raises(Invalid, match="integer") as refusal:
                key_value.increment(name, ttl_seconds=ttl)
            assert refusal.value.name == name
        assert key_value.get(name) == value

    def test_increment_sets_a_time_to_live_only_on_a_new_key(self, key_value: KeyValue, name: str) -> None:
        key_value.set(name + "old", b"1")
        assert key_value.increment(name + "old", ttl_seconds=SHORT_SECONDS) == 2
        assert key_value.increment(name + "new", ttl_seconds=SHORT_SECONDS) == 1
        assert key_value.increment(name + "new", ttl_seconds=LONG_SECONDS) == 2
        assert key_value.increment(name + "new") == 3
        self._wait_past_short(key_value, name + "marker")
        assert key_value.get_many([name + "old", name + "new"]) == [b"2", None]

    # -------------------------------------------------------------------------------------------------- scripts

    def test_a_script_answers_as_its_twin_over_random_calls(self, key_value: KeyValue, name: str) -> None:
        seed = int.from_bytes(os.urandom(4))
        print(f"seed {seed}")
        rng = random.Random(seed)
        twin = MemoryKeyValue()
        now_ms = 1_700_000_000_000
        for step in range(300):
            tag = f"{{{name}{rng.randrange(3)}}}"
            now_ms += rng.choice((0, 1, 40, 900, 20_000, -30))
            script, keys, args = rng.choice((
                (TOKEN_BUCKET, [tag + "bucket"], [rng.choice((5, 10)), rng.choice((1, 3)), now_ms, rng.randrange(4)]),
                (SET_IF_GREATER, [tag + "token", tag + "owner"], [str(rng.randrange(-20, 60)), os.urandom(3)]),
            ))  # fmt: skip
            answers = [store.run(script, keys=keys, args=args) for store in (key_value, twin)]
            values = [store.get_many(keys) for store in (key_value, twin)]
            assert answers[0] == answers[1], f"step {step}: {script.name} {args}"
            assert values[0] == values[1], f"step {step}: {script.name} {args}"

    def test_a_script_is_atomic(self, key_value: KeyValue, name: str) -> None:
        args = (40, 1, 1_700_000_000_000, 1)
        answers = _at_once(8, lambda _: [key_value.run(TOKEN_BUCKET, keys=[name], args=args) for _ in range(10)])
        assert sorted(answer for part in answers for answer in part) == [-1] * 40 + list(range(40))

    def test_a_script_gets_bytes_numbers_and_text(self, key_value: KeyValue, name: str) -> None:
        echo = Script("echo", "return table.concat(ARGV, '|')", lambda _read, _write, _keys, args: b"|".join(args))
        assert key_value.run(echo, keys=[name], args=[b"\x00\xff", -7, "é"]) == b"\x00\xff|-7|" + "é".encode()

    @pytest.mark.parametrize("arg", [True, None, 1.5])
    def test_other_script_arguments_are_refused(self, key_value: KeyValue, name: str, arg: Any) -> None:
        with pytest.raises(Invalid, match="argument"):
            key_value.run(TOKEN_BUCKET, keys=[name], args=[arg])

    def test_a_script_over_several_slots_is_refused_on_every_store(self, key_value: KeyValue, name: str) -> None:
        with pytest.raises(Invalid, match="tag"):
            key_value.run(SET_IF_GREATER, keys=[name + "a", name + "b"], args=[1, b"x"])

    def test_a_script_that_fails_is_invalid_and_named(self, key_value: KeyValue, name: str) -> None:
        with pytest.raises(Invalid, match="told to fail") as refusal:
            key_value.run(FAILING, keys=[name])
        assert refusal.value.name == "failing"

    # ----------------------------------------------------------------------------------------------------- scan

    def test_scan_finds_every_key_of_the_prefix_and_no_other(self, key_value: KeyValue, name: str) -> None:
        wanted = {f"{name}a/{index}" for index in range(1500)}
        key_value.set_many(dict.fromkeys(wanted | {f"{name}b/{index}" for index in range(50)}, b"x"))
        assert set(key_value.scan(f"{name}a/")) == wanted
        assert list(key_value.scan(f"{name}c/")) == []

    def test_scan_takes_wildcards_literally(self, key_value: KeyValue, name: str) -> None:
        key_value.set_many({f"{name}a*": b"1", f"{name}ab": b"2", f"{name}a[b]": b"3", f"{name}a\\": b"4"})
        assert set(key_value.scan(f"{name}a*")) == {f"{name}a*"}
        assert set(key_value.scan(f"{name}a[b]")) == {f"{name}a[b]"}
        assert set(key_value.scan(f"{name}a\\")) == {f"{name}a\\"}
        assert set(key_value.scan(f"{name}a?")) == set()

    def test_scan_finds_what_is_there_throughout_while_others_come_and_go(self, key_value: KeyValue, name: str) -> None:
        stays = {f"{name}stays/{index}" for index in range(300)}
        goes = [f"{name}goes/{index}" for index in range(600)]
        key_value.set_many(dict.fromkeys([*stays, *goes], b"x"))
        found = set()
        for index, key in enumerate(key_value.scan(name)):
            found.add(key)
            if index % 10 == 0:
                key_value.delete(goes[index : index + 10])
                key_value.set(f"{name}comes/{index}", b"x")
        assert stays <= found

    def test_scan_leaves_out_what_has_expired(self, key_value: KeyValue, name: str) -> None:
        key_value.set_many({f"{{{name}}}1": b"x", f"{{{name}}}2": b"x"}, ttl_seconds=SHORT_SECONDS)
        self._wait_past_short(key_value, name + "marker")
        assert list(key_value.scan(f"{{{name}}}")) == []

    # -------------------------------------------------------------------------------------------------- helpers

    def _wait_past_short(self, key_value: KeyValue, marker: str) -> None:
        """Until all that was given SHORT_SECONDS before now is due: a marker that was given them later has gone."""
        key_value.set(marker, b"x", ttl_seconds=SHORT_SECONDS + 0.01)
        deadline = time.monotonic() + 10
        while key_value.get(marker) is not None:
            assert time.monotonic() < deadline, "a key outlived its time to live by seconds"
            time.sleep(0.01)


def _at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """The answers of `count` threads that start together."""
    barrier = threading.Barrier(count)

    def work(index: int) -> T:
        barrier.wait(10)
        return call(index)

    with ThreadPoolExecutor(count) as pool:
        answers: Iterable[T] = pool.map(work, range(count))
        return list(answers)


def _claim(key_value: KeyValue, key: str) -> Callable[[int], bool]:
    return lambda index: key_value.compare_and_set(key, expected=None, value=b"%d" % index)
