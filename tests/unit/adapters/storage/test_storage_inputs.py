"""What is refused before it is sent, and how bodies are cut into parts."""

from __future__ import annotations

import random

import pytest

from adapters.drivers.storage import parts, rules
from adapters.drivers.storage.rules import _check_key
from adapters.errors import Invalid

MEBIBYTE = 1 << 20
TEBIBYTE = 1 << 40


def accepted(check: object, key: str) -> bool:
    try:
        assert callable(check)
        check(key)
    except Invalid:
        return False
    return True


def test_the_quick_check_of_a_key_answers_as_the_thorough_one() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(20_000):
        key = "".join(chance.choices("ab/..\0\x7fé ", k=chance.randint(0, 6)))
        assert accepted(rules.check_key, key) == accepted(lambda key: _check_key(key, what="key"), key), repr(key)
    for length in (1023, 1024, 1025):
        assert accepted(rules.check_key, "x" * length) == (length <= 1024)


def test_a_refusal_names_the_key_the_rule_and_what_was_found() -> None:
    with pytest.raises(Invalid, match=r"a/\.\./b: a key has no segment"):
        rules.check_key("a/../b")
    with pytest.raises(Invalid, match=r"1 to 1024 bytes of UTF-8, this one 1026"):
        rules.check_key("é" * 513)


def test_a_body_is_copied_only_where_it_is_a_view_of_something_else() -> None:
    body = b"0123456789"
    assert rules.solid(body) is body
    assert rules.solid(memoryview(body)) is body
    buffer = bytearray(body)
    assert rules.solid(buffer) is buffer
    assert rules.solid(memoryview(body)[1:4]) == b"123"
    assert rules.solid(memoryview(body)[::2]) == b"02468"
    assert rules.solid(memoryview(body).cast("H")) == body


def test_parts_are_of_one_size_but_for_the_last() -> None:
    for sizes in ([20 * MEBIBYTE], [MEBIBYTE] * 20, [3 * MEBIBYTE + 1] * 7, [8 * MEBIBYTE, 8 * MEBIBYTE, 5]):
        chunks = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
        cut = [bytes(part) for part in parts.in_parts(chunks)]
        assert b"".join(cut) == b"".join(chunks)
        assert {len(part) for part in cut[:-1]} == {8 * MEBIBYTE}


def test_an_empty_body_has_no_parts() -> None:
    assert [*parts.in_parts([])] == [*parts.in_parts([b"", bytearray()])] == []
    assert parts.one_or_parts([b""]) == b""


def test_a_chunk_that_is_just_a_part_is_not_copied() -> None:
    chunk = bytes(parts.PART_BYTES)
    assert next(parts.in_parts([chunk])) is chunk


def test_ten_thousand_parts_hold_the_largest_object_there_is() -> None:
    assert sum(parts.part_bytes(number) for number in range(10_000)) > 5 * TEBIBYTE
    assert max(parts.part_bytes(number) for number in range(10_000)) <= 5 << 30
