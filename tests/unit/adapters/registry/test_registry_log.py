"""What a registry in object storage promises beyond the port: requests, pages, lost answers, damage."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from adapters.drivers.registry.log import page_key, record_key
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage.memory import MemoryStorage
from adapters.errors import Conflict, Corrupt, Invalid, NotFound, Transient, Unsupported
from adapters.ports import Object, ObjectStorage
from tests.unit.adapters.registry.doubles import Around, Counting, LosingAnswers, OneWriteASecond

FILES = {"config.json": b"{}"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def registry(storage: ObjectStorage) -> ObjectRegistry:
    return ObjectRegistry(storage)


def change(registry: ObjectRegistry, times: int) -> None:
    """Register `fraud` and change it until its epoch is `times`."""
    registry.register("fraud", FILES)
    for step in range(times - 1):
        registry.set_tags("fraud", 1, {f"tag-{step % 7}": str(step)})


def rewrite(storage: MemoryStorage, key: str, edit: Callable[[bytes], bytes]) -> None:
    storage.put(key, edit(storage.get(key).body))


# ------------------------------------------------------------------------------------------------------------ requests


def test_a_read_of_what_is_known_costs_one_request(storage: MemoryStorage) -> None:
    counting = Counting(storage)
    registry = ObjectRegistry(counting.port())
    change(registry, 3)
    for read in (
        lambda: registry.get("fraud", 1),
        lambda: registry.versions("fraud"),
        lambda: registry.epoch("fraud"),
    ):
        counting.calls.clear()
        read()
        assert counting.calls == {"get": 1}


def test_a_change_costs_two_requests(storage: MemoryStorage) -> None:
    counting = Counting(storage)
    registry = ObjectRegistry(counting.port())
    change(registry, 3)
    counting.calls.clear()
    registry.set_tags("fraud", 1, {"team": "risk"})
    assert counting.calls == {"get": 1, "put": 1}


def test_500_changes_are_read_with_as_many_requests_as_there_are_pages_and_loose_records(
    registry: ObjectRegistry, storage: MemoryStorage
) -> None:
    change(registry, 512)
    counting = Counting(storage)
    assert ObjectRegistry(counting.port()).epoch("fraud") == 512
    pages, loose, newer = 5, 13, 1
    assert counting.calls == {"list": 2, "get": pages + loose + newer}


def test_an_unknown_model_is_not_remembered(registry: ObjectRegistry) -> None:
    for number in range(100):
        with pytest.raises(NotFound):
            registry.get(f"nobody-{number}", 1)
    assert registry._logs == {}


def test_the_same_files_are_stored_once(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    for model in ("fraud", "vision"):
        for _ in range(3):
            registry.register(model, {"a.json": b"same", "b.json": b"same"})
    assert len(storage.list("registry/blobs/").objects) == 1


def test_a_fast_writer_rewrites_no_object(storage: MemoryStorage) -> None:
    limited = OneWriteASecond(storage)
    change(ObjectRegistry(limited.port()), 150)
    assert limited.rewritten == []
    with pytest.raises(Transient, match="429"):
        limited.put(record_key("fraud", 1), b"the limit is real")


def test_threads_that_read_the_same_record_at_once_count_it_once(storage: MemoryStorage) -> None:
    meeting = threading.Barrier(2, timeout=10.0)

    class Meeting(Around):
        def get(self, key: str) -> Object:
            found = self.inner.get(key)
            if key == record_key("fraud", 2):
                meeting.wait()
            return found

    registry = ObjectRegistry(Meeting(storage).port())
    registry.register("fraud", FILES)
    ObjectRegistry(storage).set_tags("fraud", 1, {"team": "risk"})
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(registry.epoch, ["fraud", "fraud"])) == [2, 2]


# --------------------------------------------------------------------------------------------------------------- pages


def test_pages_records_and_memory_tell_the_same(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 230)
    registry.set_alias("fraud", "champion", 1)
    warm = registry.versions("fraud")
    assert ObjectRegistry(storage).versions("fraud") == warm
    for page in (0, 1):
        storage.delete(page_key("fraud", page))
    assert ObjectRegistry(storage).versions("fraud") == warm


def test_a_page_is_its_records_one_a_line(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 199)
    records = [storage.get(record_key("fraud", epoch)).body for epoch in range(100, 200)]
    assert storage.get(page_key("fraud", 1)).body == b"".join(record + b"\n" for record in records)


def test_a_page_that_its_writer_did_not_live_to_write_is_written_by_the_next_one(
    registry: ObjectRegistry, storage: MemoryStorage
) -> None:
    change(registry, 299)
    pages = {page: storage.get(page_key("fraud", page)).body for page in (0, 1, 2)}
    for page in (0, 2):
        storage.delete(page_key("fraud", page))
    ObjectRegistry(storage).set_tags("fraud", 1, {"by": "the next one"})
    assert {page: storage.get(page_key("fraud", page)).body for page in (0, 1, 2)} == pages


def test_a_page_that_cannot_be_written_fails_no_change(storage: MemoryStorage) -> None:
    refusing = True
    losing = LosingAnswers(storage, lose=lambda key: refusing and "/pages/" in key, applied=False)
    registry = ObjectRegistry(losing.port())
    change(registry, 99)
    assert losing.lost and registry.epoch("fraud") == 99
    with pytest.raises(NotFound):
        storage.get(page_key("fraud", 0))
    refusing = False
    registry.set_tags("fraud", 1, {})
    assert storage.get(page_key("fraud", 0)).body.count(b"\n") == 99


# -------------------------------------------------------------------------------------------------------- lost answers


@pytest.mark.parametrize(
    ("lost", "applied"), [("/log/", True), ("/log/", False), ("/pages/", True), ("/pages/", False), ("/blobs/", True)]
)
def test_a_lost_answer_makes_a_change_neither_twice_nor_never(storage: MemoryStorage, lost: str, applied: bool) -> None:
    turns = iter([True, False] * 10_000)
    losing = LosingAnswers(storage, lose=lambda key: lost in key and next(turns), applied=applied)
    registry = ObjectRegistry(losing.port())
    for expected in range(1, 101):
        assert registry.register("fraud", {"config.json": b"%d" % (expected // 2)}).version == expected
    assert losing.lost
    assert [version.version for version in ObjectRegistry(storage).versions("fraud")] == list(range(100, 0, -1))


def test_a_lost_answer_is_not_taken_for_a_lost_race(storage: MemoryStorage) -> None:
    losing = LosingAnswers(storage, lose=lambda key: "/log/" in key, applied=True)
    registry = ObjectRegistry(losing.port())
    registry.register("fraud", FILES)
    assert registry.set_alias("fraud", "champion", 1, expected=None) == 2
    with pytest.raises(Conflict):
        registry.set_alias("fraud", "champion", 1, expected=None)


def test_a_store_that_refuses_every_write_is_reported_in_time(storage: MemoryStorage) -> None:
    change(ObjectRegistry(storage), 1)
    losing = LosingAnswers(storage, lose=lambda key: True, applied=False)
    with pytest.raises(Transient, match="reset"):
        ObjectRegistry(losing.port(), patience_seconds=0.05).set_tags("fraud", 1, {})
    assert ObjectRegistry(storage).epoch("fraud") == 1


def test_a_writer_that_is_always_late_gives_up_in_time_with_nothing_changed(storage: MemoryStorage) -> None:
    rival = ObjectRegistry(storage)
    change(rival, 1)

    class Late(LosingAnswers):
        def _write(self, key, write):  # type: ignore[no-untyped-def]
            rival.set_tags("fraud", 1, {"rival": "first"})
            return write()

    late = Late(storage, lose=lambda key: False, applied=False)
    with pytest.raises(Transient, match="nothing was changed"):
        ObjectRegistry(late.port(), patience_seconds=0.05).set_tags("fraud", 1, {"mine": "too"})
    assert rival.get("fraud", 1).tags == {"rival": "first"}


# -------------------------------------------------------------------------------------------------------------- damage


def test_a_truncated_record_is_named(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 5)
    rewrite(storage, record_key("fraud", 5), lambda record: record[:-20])
    for ask in (lambda: ObjectRegistry(storage).get("fraud", 1), lambda: list(registry.history("fraud"))):
        with pytest.raises(Corrupt, match=record_key("fraud", 5)):
            ask()


@pytest.mark.parametrize("epoch", [2, 5])
def test_a_record_with_other_content_is_named(registry: ObjectRegistry, storage: MemoryStorage, epoch: int) -> None:
    change(registry, 5)
    key = record_key("fraud", epoch)
    rewrite(storage, key, lambda record: record.replace(b'"tags":{', b'"tags":{"x":"y",'))
    with pytest.raises(Corrupt, match=f"{key}.*SHA-256 [0-9a-f]{{64}}, recorded is [0-9a-f]{{64}}"):
        ObjectRegistry(storage).get("fraud", 1)


def test_a_record_made_anew_to_fit_is_betrayed_by_the_next_one(
    registry: ObjectRegistry, storage: MemoryStorage
) -> None:
    change(registry, 5)
    forger = MemoryStorage()
    for epoch in (1, 2, 3):
        forger.put(record_key("fraud", epoch), storage.get(record_key("fraud", epoch)).body)
    ObjectRegistry(forger).set_tags("fraud", 1, {"approved": "yes"})
    storage.put(record_key("fraud", 4), forger.get(record_key("fraud", 4)).body)
    with pytest.raises(Corrupt, match=f"{record_key('fraud', 5)}.*follows an entry"):
        ObjectRegistry(storage).get("fraud", 1)


def test_a_record_of_another_model_or_place_is_refused(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 3)
    storage.put(record_key("vision", 1), storage.get(record_key("fraud", 1)).body)
    with pytest.raises(Corrupt, match="vision"):
        registry.get("vision", 1)
    storage.put(record_key("fraud", 4), storage.get(record_key("fraud", 3)).body)
    with pytest.raises(Corrupt, match="expected is fraud 4"):
        registry.get("fraud", 1)


def test_a_missing_record_is_noticed(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 5)
    storage.delete(record_key("fraud", 3))
    with pytest.raises(Corrupt, match="expected is fraud 3"):
        ObjectRegistry(storage).get("fraud", 1)


def test_a_damaged_page_is_named(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 120)
    whole = storage.get(page_key("fraud", 0)).body
    for damaged in (whole[:-5], whole[:-1], whole[: whole.rindex(b"\n", 0, -1) + 1], whole.replace(b"tag-3", b"tag-4")):
        storage.put(page_key("fraud", 0), damaged)
        with pytest.raises(Corrupt, match=f"{re.escape(page_key('fraud', 0))}.*delete the page"):
            ObjectRegistry(storage).get("fraud", 1)
    storage.delete(page_key("fraud", 0))
    ObjectRegistry(storage).set_tags("fraud", 1, {})
    assert storage.get(page_key("fraud", 0)).body == whole


def test_history_finds_a_record_that_its_page_hides(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 120)
    assert len(list(registry.history("fraud"))) == 120
    rewrite(storage, record_key("fraud", 50), lambda record: record.replace(b"tag-", b"gat-"))
    assert ObjectRegistry(storage).epoch("fraud") == 120
    with pytest.raises(Corrupt, match=record_key("fraud", 50)):
        list(registry.history("fraud"))


def test_history_finds_a_page_that_differs_from_its_records(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 120)
    forger = MemoryStorage()
    change(ObjectRegistry(forger), 99)
    storage.put(page_key("fraud", 0), forger.get(page_key("fraud", 0)).body)
    with pytest.raises(Corrupt, match=page_key("fraud", 0)):
        list(registry.history("fraud"))


def test_a_record_of_a_newer_version_is_not_called_damaged(registry: ObjectRegistry, storage: MemoryStorage) -> None:
    change(registry, 1)
    rewrite(storage, record_key("fraud", 1), lambda record: record.replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(Unsupported, match="upgrade"):
        ObjectRegistry(storage).get("fraud", 1)


def test_a_change_too_large_to_be_read_often_is_refused(registry: ObjectRegistry) -> None:
    with pytest.raises(Invalid, match=r"fraud.*1,048,576 is the limit"):
        registry.register("fraud", FILES, params={"notes": "x" * (1 << 20)})
    assert registry.models() == []


# ------------------------------------------------------------------------------------------------------------- history


def test_history_says_what_was_changed_by_whom_and_when(storage: MemoryStorage) -> None:
    times = iter(LONG_AGO + timedelta(hours=hour) for hour in (1, 2, 3))
    registry = ObjectRegistry(storage, clock=lambda: next(times), writer="ada")
    registry.register("fraud", FILES)
    registry.set_alias("fraud", "champion", 1)
    registry.set_alias("fraud", "champion", None)
    entries = list(registry.history("fraud"))
    assert [(entry.epoch, entry.writer, entry.time - LONG_AGO) for entry in entries] == [
        (hour, "ada", timedelta(hours=hour)) for hour in (1, 2, 3)
    ]
    moved = json.loads(storage.get(record_key("fraud", 3)).body)["entry"]["change"]
    assert moved == {"kind": "alias_moved", "alias": "champion", "was": 1, "version": None}


def test_a_clock_that_is_behind_puts_no_effect_before_its_cause(storage: MemoryStorage) -> None:
    ObjectRegistry(storage).register("fraud", FILES)
    ObjectRegistry(storage, clock=lambda: LONG_AGO).register("fraud", FILES)
    newest, oldest = ObjectRegistry(storage).search()
    assert (newest.version, oldest.version) == (2, 1) and newest.created >= oldest.created
