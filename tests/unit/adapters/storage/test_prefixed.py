"""A part of a store as a store of its own: nothing outside is reached, whatever the key."""

from __future__ import annotations

import random

import pytest

from adapters.drivers.storage.memory import MemoryStorage
from adapters.errors import Invalid, NotFound
from adapters.ports import ObjectStorage
from adapters.prefix import Prefixed
from adapters.retry import Retrying

OUTSIDE = ("other/k", "tenants/70/k", "tenants/", "k", "tenants/7", "/k")


@pytest.fixture
def whole() -> MemoryStorage:
    storage = MemoryStorage()
    for key in OUTSIDE:
        storage.put(key, b"outside")
    return storage


@pytest.fixture
def tenant(whole: MemoryStorage) -> Prefixed:
    return Prefixed(whole, "tenants/7/")


def test_nothing_outside_is_listed_whatever_the_prefix_or_cursor(whole: MemoryStorage, tenant: Prefixed) -> None:
    tenant.put("a", b"")
    tenant.put("b/c", b"")
    foreign = whole.list(limit=1).cursor
    for prefix in ("", "a", "b/", "/", "0/"):
        for cursor in (None, foreign):
            page = tenant.list(prefix, cursor=cursor, delimiter="/")
            assert {info.key for info in page.objects} <= {"a", "b/c"}
            assert set(page.folders) <= {"b/"}


@pytest.mark.parametrize("key", ["../70/k", "..", "a/../../k", "./k", "", "../../k", "a/..", "\0"])
def test_a_key_cannot_climb_out(tenant: Prefixed, whole: MemoryStorage, key: str) -> None:
    for call in (
        lambda: tenant.get(key),
        lambda: tenant.put(key, b"in"),
        lambda: tenant.delete(key),
        lambda: tenant.copy(key, "a"),
        lambda: tenant.copy("a", key),
        lambda: next(tenant.stream(key)),
        lambda: next(tenant.get_many([key])),
        lambda: tenant.put_many([(key, b"in")]),
        lambda: tenant.open_stream(key, chunk_bytes=1),
        lambda: tenant.written_by(key),
    ):
        with pytest.raises(Invalid):
            call()
    assert [whole.get(outside).body for outside in OUTSIDE] == [b"outside"] * len(OUTSIDE)


def test_random_keys_stay_inside(tenant: Prefixed, whole: MemoryStorage) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = {info.key for info in whole.list().objects}
    for _ in range(2000):
        key = "".join(chance.choices("a./\\7%~", k=chance.randint(0, 8)))
        try:
            tenant.put(key, b"in")
        except Invalid:
            continue
        assert tenant.get(key).info.key == key
    assert all(key in before or key.startswith("tenants/7/") for key in _keys(whole))
    assert [whole.get(outside).body for outside in OUTSIDE] == [b"outside"] * len(OUTSIDE)


def _keys(storage: ObjectStorage) -> set[str]:
    keys: set[str] = set()
    cursor = None
    while True:
        page = storage.list(cursor=cursor)
        keys |= {info.key for info in page.objects}
        cursor = page.cursor
        if cursor is None:
            return keys


def test_only_uploads_inside_are_swept() -> None:
    class Recording(MemoryStorage):
        def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
            swept.append(prefix)
            return 0

    swept: list[str] = []
    Prefixed(Recording(), "a/").sweep_uploads(older_than_seconds=1)
    Prefixed(Retrying(Recording(), deadline_seconds=1), "a/").sweep_uploads(older_than_seconds=1)
    assert swept == ["a/", "a/"]


def test_prefixes_nest(whole: MemoryStorage) -> None:
    inner = Prefixed(Prefixed(whole, "a/"), "b/c/")
    inner.put("k", b"deep")
    assert whole.get("a/b/c/k").body == b"deep"
    assert [info.key for info in inner.list().objects] == ["k"]
    with pytest.raises(NotFound, match="a/b/c/absent"):
        inner.get("absent")


@pytest.mark.parametrize("prefix", ["", "a", "/", "/a/", "a//", "../", "a/../", "\n/"])
def test_a_prefix_that_is_no_folder_is_invalid(whole: MemoryStorage, prefix: str) -> None:
    with pytest.raises(Invalid):
        Prefixed(whole, prefix)
