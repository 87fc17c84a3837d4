"""Slots are told as Redis tells them: by the text in the first pair of braces."""

from __future__ import annotations

import random
from binascii import crc_hqx

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from adapters.drivers.key_value import inputs
from adapters.errors import Invalid


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("plain", "plain"),
        ("{user1}:a", "user1"),
        ("a{user1}b", "user1"),
        ("{}a", "{}a"),
        ("a{}b{c}", "a{}b{c}"),
        ("{{a}}", "{a"),
        ("{a}{b}", "a"),
        ("}a{b}", "b"),
        ("{open", "{open"),
        ("close}", "close}"),
    ],
)
def test_the_tag_is_what_redis_hashes(key: str, tag: str) -> None:
    assert inputs.tag(key) == tag


def test_the_tag_decides_the_slot_as_a_cluster_computes_it() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(2000):
        key = "".join(rng.choices("{}ab", k=rng.randrange(1, 9)))
        assert key_slot(key.encode()) == crc_hqx(inputs.tag(key).encode(), 0) % REDIS_CLUSTER_HASH_SLOTS, key


def test_keys_of_several_slots_are_refused_by_name() -> None:
    inputs.same_slot("script", [])
    inputs.same_slot("script", ["{a}1", "{a}2", "x{a}"])
    with pytest.raises(Invalid, match=r"script: .*\{a\}1, \{b\}1.*\{tag\}"):
        inputs.same_slot("script", ["{a}1", "{b}1"])


@pytest.mark.parametrize(("seconds", "expected"), [(None, None), (1, 1000), (0.001, 1), (0.0001, 1), (1.0005, 1001)])
def test_a_time_to_live_is_rounded_up_to_milliseconds(seconds: float | None, expected: int | None) -> None:
    assert inputs.milliseconds(seconds) == expected
