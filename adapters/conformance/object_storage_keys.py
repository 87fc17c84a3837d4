"""Promises about keys: every one that is allowed stands for itself, every other is refused before it is sent."""

from __future__ import annotations

import random

import pytest

from adapters.errors import Invalid
from adapters.ports import ObjectStorage

ODD = (
    "with space",
    "a b/c d",
    "plus+plus",
    "per%20cent%",
    "question?x=1&y=2",
    "hash#frag",
    "tilde~'()!*",
    "comma,;:@=$",
    'quote"<>|`^{}[]',
    "ünï/cödé",
    "日本語/キー",
    "emoji-\U0001f600",
    "e\u0301 is not \u00e9",
    "UPPER/lower",
    "..dots../...",
    ".hidden",
    "a.b-c_d",
    "trailing.",
)
REFUSED = {
    "empty": "",
    "too long": "x" * 1025,
    "too long in UTF-8": "é" * 513,
    "newline": "a\nb",
    "zero byte": "a\0b",
    "tab": "a\tb",
    "delete": "a\x7f",
    "C1 control": "a\x85b",
    "lone surrogate": "a\ud800",
    "parent segment": "a/../b",
    "leading parent": "../b",
    "this segment": "./a",
    "trailing this": "a/.",
}
ALPHABET = "abcXYZ019 -_.~!*'()+&=%?#@:;,é日\U0001f600"


class KeyPromises:
    """Of what a key may be."""

    @pytest.mark.parametrize("name", ODD)
    def test_an_odd_key_stands_for_itself(self, storage: ObjectStorage, place: str, name: str) -> None:
        self.assert_stands_for_itself(storage, place, name)

    @pytest.mark.parametrize("name", ["double//slash", "back\\slash"])
    def test_a_key_is_no_path(self, storage: ObjectStorage, place: str, name: str) -> None:
        self.assert_stands_for_itself(storage, place, name)

    def test_a_key_may_begin_with_a_slash(self, storage: ObjectStorage, place: str) -> None:
        self.assert_stands_for_itself(storage, "/", place + "k")

    def test_a_key_may_end_in_a_slash(self, storage: ObjectStorage, place: str) -> None:
        self.assert_stands_for_itself(storage, place, "folder/")

    def test_a_key_may_begin_like_another(self, storage: ObjectStorage, place: str) -> None:
        for name in ("a", "a/b", "a/b/c"):
            storage.put(place + name, name.encode())
        for name in ("a", "a/b", "a/b/c"):
            assert storage.get(place + name).body == name.encode()

    def test_keys_that_differ_in_case_or_composition_are_different(self, storage: ObjectStorage, place: str) -> None:
        names = ("key", "KEY", "\u00e9", "e\u0301")
        for name in names:
            storage.put(place + name, name.encode())
        assert [storage.get(place + name).body for name in names] == [name.encode() for name in names]

    def test_a_long_key_of_short_segments_is_allowed(self, storage: ObjectStorage, place: str) -> None:
        self.assert_stands_for_itself(storage, place, "/".join(["s" * 99] * 9))

    def test_a_segment_may_be_as_long_as_a_key(self, storage: ObjectStorage, place: str) -> None:
        self.assert_stands_for_itself(storage, place, "s" * 900)

    @pytest.mark.parametrize("key", REFUSED.values(), ids=REFUSED.keys())
    def test_a_key_that_is_not_allowed_is_invalid_in_every_method(self, storage: ObjectStorage, key: str) -> None:
        for call in (
            lambda: storage.get(key),
            lambda: storage.get_range(key, 0, 1),
            lambda: next(storage.stream(key)),
            lambda: storage.head(key),
            lambda: next(storage.get_many([key])),
            lambda: storage.put(key, b""),
            lambda: storage.put_stream(key, [b""]),
            lambda: storage.put_many([(key, b"")]),
            lambda: storage.delete(key),
            lambda: storage.copy(key, "b"),
            lambda: storage.copy("b", key),
            lambda: storage.tags(key),
            lambda: storage.set_tags(key, {}),
        ):
            with pytest.raises(Invalid) as caught:
                call()
            assert isinstance(caught.value, ValueError)

    def test_random_keys_stand_for_themselves(self, storage: ObjectStorage, place: str) -> None:
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        names: set[str] = set()
        while len(names) < 25:
            segments = ("".join(chance.choices(ALPHABET, k=chance.randint(1, 9))) for _ in range(chance.randint(1, 4)))
            name = "/".join(segment for segment in segments if segment.strip(".") == segment)
            if name and not name.endswith("/"):
                names.add(name)
        wanted = {f"{place}{name}": name.encode() for name in names}
        storage.put_many(wanted.items())
        assert {one.info.key: one.body for one in storage.get_many(wanted)} == wanted
        assert {info.key for info in storage.list(place).objects} == set(wanted)
        for key, body in wanted.items():
            assert storage.get(key).body == body

    def assert_stands_for_itself(self, storage: ObjectStorage, place: str, name: str) -> None:
        """Through every way in and out, and in a listing."""
        key = place + name
        storage.put(key, b"body")
        assert storage.get(key).body == b"body"
        assert storage.get(key).info.key == key
        assert storage.head(key).size_bytes == 4
        assert storage.get_range(key, 1, 2) == b"od"
        assert b"".join(storage.stream(key)) == b"body"
        assert [one.info.key for one in storage.get_many([key])] == [key]
        assert [info.key for info in storage.list(key).objects] == [key]
        storage.put_many([(key, b"again")])
        assert storage.get(key).body == b"again"
        storage.copy(key, f"{key}2")
        assert storage.get(f"{key}2").body == b"again"
        storage.copy(f"{key}2", key)
        storage.delete(f"{key}2")
        storage.delete(key)
        assert storage.list(key).objects == ()
