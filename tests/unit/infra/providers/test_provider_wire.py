"""What the engine sends comes to handlers as plain values and goes back marked as it came."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.providers.base import Change, compare
from infra.providers.values import UNKNOWN, Secret, has_unknown, show
from infra.providers.wire import OUTPUT, SECRET, SIGNATURE, Secrets, decode, encode

texts = st.text(max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**52), 2**52) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    scalars | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5))
def test_every_value_survives_the_wire(properties: dict[str, Any]) -> None:
    assert decode(encode(properties)) == properties


def test_whole_numbers_come_as_integers() -> None:
    found = decode(encode({"whole": 3.0, "part": 0.5}))
    assert isinstance(found["whole"], int) and isinstance(found["part"], float)


def test_a_secret_input_is_plain_to_the_handler_and_secret_again_in_the_outputs() -> None:
    sent = encode({"password": Secret("hunter22"), "deep": {"list": [1, Secret("also hidden")]}})
    secrets = Secrets()
    seen = decode(sent, secrets)
    assert seen == {"password": "hunter22", "deep": {"list": [1, "also hidden"]}}
    assert encode(seen, secrets) == sent


def test_an_output_made_from_a_secret_is_secret_too() -> None:
    secrets = Secrets()
    decode(encode({"password": Secret("hunter22")}), secrets)
    made = encode({"url": "redis://:hunter22@host", "other": "redis://host"}, secrets)
    assert made.fields["url"].struct_value.fields[SIGNATURE].string_value == SECRET
    assert made.fields["other"].string_value == "redis://host"
    assert secrets.redact("could not reach redis://:hunter22@host") == "could not reach redis://:[secret]@host"


def test_a_secret_is_not_shown_by_accident() -> None:
    assert "hunter22" not in repr(Secret("hunter22"))


def test_assets_and_references_travel_untouched() -> None:
    asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "hash": "abc", "text": "hello"}
    reference = {SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:pulumi:a::b::c::d"}
    sent = encode({"asset": asset, "reference": reference})
    assert decode(sent) == {"asset": asset, "reference": reference}
    assert encode(decode(sent)) == sent


def test_a_value_without_a_form_on_the_wire_is_named() -> None:
    with pytest.raises(TypeError, match=r'files\["a\.b"\]\[0\] is a set'):
        encode({"files": {"a.b": [{1}]}})


def test_paths_are_written_as_the_engine_writes_them() -> None:
    assert show(("files", "server.properties")) == 'files["server.properties"]'
    assert show(("ready", 0, "port")) == "ready[0].port"
    assert show(('quo"te',)) == '["quo\\"te"]'


def test_a_comparison_finds_every_difference_as_deep_as_it_lies() -> None:
    old = {"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": 1, "same": [{"x": 1}]}
    new = {"a": {"b": 1, "c": 3, "d": UNKNOWN}, "list": [1], "same": [{"x": 1}], "unknown": UNKNOWN}
    assert compare(old, new, {"list"}) == [
        Change(("a", "c"), "update"),
        Change(("a", "d"), "add"),
        Change(("gone",), "delete"),
        Change(("list",), "update", replaces=True),
        Change(("unknown",), "add"),
    ]
    assert compare({"flag": True}, {"flag": 1}) == [Change(("flag",), "update")]
    assert compare(old, old) == []


def test_a_thousand_random_edits_are_each_found_where_they_were_made() -> None:
    seed = 20261123
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(1000):
        old = {f"k{i}": {"n": [chance.randint(0, 9) for _ in range(3)]} for i in range(4)}
        key, index = f"k{chance.randint(0, 3)}", chance.randint(0, 2)
        new = {name: {"n": list(value["n"])} for name, value in old.items()}
        new[key]["n"][index] += 1
        assert compare(old, new) == [Change((key, "n", index), "update")]


def test_unknown_is_found_however_deep() -> None:
    assert has_unknown({"a": [{"b": UNKNOWN}]}) and not has_unknown({"a": [{"b": None}]})


def test_a_value_sent_with_its_dependencies_is_unwrapped_and_one_without_a_value_is_unknown() -> None:
    wrapped: dict[str, Any] = {SIGNATURE: OUTPUT, "dependencies": ["urn:pulumi:a::b::c::d"]}
    secrets = Secrets()
    sent = {
        "known": {**wrapped, "value": 1},
        "unknown": wrapped,
        "hidden": {**wrapped, "value": "hunter22", "secret": True},
    }
    assert decode(encode(sent), secrets) == {"known": 1, "unknown": UNKNOWN, "hidden": "hunter22"}
    assert secrets.paths == {("hidden",)}
