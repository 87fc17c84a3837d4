"""Promises of compare-and-swap: of several writers that name one version, exactly one wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import ABSENT, Capability, ObjectStorage, Version

WRITERS = 8
INCREMENTS = 4


def at_once(count: int, work: Callable[[int], Version]) -> list[Version | Conflict]:
    """`work(number)` in as many threads, begun together; each one's version, or the Conflict it met."""
    gate = threading.Barrier(count)

    def one(number: int) -> Version | Conflict:
        gate.wait(10)
        try:
            return work(number)
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(one, range(count))]


class SwapPromises:
    """Of `if_version`, in `put` and `delete`."""

    def test_an_object_is_created_only_where_there_is_none(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"first", if_version=ABSENT)
        with pytest.raises(Conflict):
            storage.put(f"{place}k", b"second", if_version=ABSENT)
        stored = storage.get(f"{place}k")
        assert (stored.body, stored.info.version) == (b"first", version)

    def test_a_deleted_object_can_be_created_again(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"first", if_version=ABSENT)
        storage.delete(f"{place}k")
        storage.put(f"{place}k", b"second", if_version=ABSENT)
        assert storage.get(f"{place}k").body == b"second"

    def test_an_object_is_replaced_only_in_the_version_named(self, storage: ObjectStorage, place: str) -> None:
        first = storage.put(f"{place}k", b"first")
        second = storage.put(f"{place}k", b"second", if_version=first)
        with pytest.raises(Conflict):
            storage.put(f"{place}k", b"third", if_version=first)
        stored = storage.get(f"{place}k")
        assert (stored.body, stored.info.version) == (b"second", second)

    def test_the_version_of_a_read_is_good_for_a_swap(self, storage: ObjectStorage, place: str) -> None:
        storage.put(f"{place}k", b"0")
        for number, version_of in enumerate(
            (
                lambda: storage.get(f"{place}k").info.version,
                lambda: storage.head(f"{place}k").version,
                lambda: storage.list(place).objects[0].version,
                lambda: next(storage.get_many([f"{place}k"])).info.version,
            ),
            start=1,
        ):
            storage.put(f"{place}k", b"%d" % number, if_version=version_of())
        assert storage.get(f"{place}k").body == b"4"

    @pytest.mark.parametrize("version", ['"0123456789abcdef0123456789abcdef"', "999999999", "nothing like it"])
    def test_a_version_that_was_never_stored_is_a_conflict(
        self, storage: ObjectStorage, place: str, version: Version
    ) -> None:
        with pytest.raises(Conflict):
            storage.put(f"{place}absent", b"x", if_version=version)
        storage.put(f"{place}k", b"kept")
        with pytest.raises(Conflict):
            storage.put(f"{place}k", b"x", if_version=version)
        assert storage.get(f"{place}k").body == b"kept"

    def test_a_version_whose_object_was_deleted_is_a_conflict(self, storage: ObjectStorage, place: str) -> None:
        version = storage.put(f"{place}k", b"x")
        storage.delete(f"{place}k")
        with pytest.raises(Conflict):
            storage.put(f"{place}k", b"y", if_version=version)
        with pytest.raises(NotFound):
            storage.head(f"{place}k")

    def test_of_writers_that_create_at_once_exactly_one_wins(self, storage: ObjectStorage, place: str) -> None:
        for key in (f"{place}a", f"{place}b"):
            answers = at_once(WRITERS, lambda number, key=key: storage.put(key, b"%d" % number, if_version=ABSENT))
            self.assert_one_winner(storage, key, answers)

    def test_of_writers_that_replace_at_once_exactly_one_wins(self, storage: ObjectStorage, place: str) -> None:
        key = f"{place}k"
        version = storage.put(key, b"start")
        for round_ in range(2):
            answers = at_once(
                WRITERS, lambda number, r=round_, v=version: storage.put(key, b"%d" % (10 * r + number), if_version=v)
            )
            version = self.assert_one_winner(storage, key, answers, offset=10 * round_)

    @staticmethod
    def assert_one_winner(
        storage: ObjectStorage, key: str, answers: list[Version | Conflict], offset: int = 0
    ) -> Version:
        """One answer is a version, and what is stored is its body under that version."""
        won = [(number, answer) for number, answer in enumerate(answers) if isinstance(answer, str)]
        assert len(won) == 1, f"{len(won)} of {len(answers)} writers were told that they won"
        stored = storage.get(key)
        assert (stored.body, stored.info.version) == (b"%d" % (offset + won[0][0]), won[0][1])
        return stored.info.version

    def test_no_increment_is_lost(self, storage: ObjectStorage, place: str) -> None:
        key = f"{place}counter"
        storage.put(key, b"0")

        def increment(_: int) -> None:
            done = 0
            while done < INCREMENTS:
                stored = storage.get(key)
                try:
                    storage.put(key, b"%d" % (int(stored.body) + 1), if_version=stored.info.version)
                except Conflict:
                    continue
                done += 1

        with ThreadPoolExecutor(4) as pool:
            assert len([*pool.map(increment, range(4))]) == 4
        assert storage.get(key).body == b"%d" % (4 * INCREMENTS)

    def test_a_deletion_may_name_the_version(self, storage: ObjectStorage, place: str) -> None:
        assert Capability.CONDITIONAL_DELETE in storage.capabilities
        first = storage.put(f"{place}k", b"first")
        second = storage.put(f"{place}k", b"second")
        with pytest.raises(Conflict):
            storage.delete(f"{place}k", if_version=first)
        assert storage.get(f"{place}k").body == b"second"
        storage.delete(f"{place}k", if_version=second)
        with pytest.raises(NotFound):
            storage.head(f"{place}k")

    def test_a_deletion_that_names_the_version_of_an_absent_object_is_a_conflict(
        self, storage: ObjectStorage, place: str
    ) -> None:
        version = storage.put(f"{place}k", b"x")
        storage.delete(f"{place}k")
        with pytest.raises(Conflict):
            storage.delete(f"{place}k", if_version=version)

    def test_a_deletion_on_condition_of_absence_is_invalid(self, storage: ObjectStorage, place: str) -> None:
        with pytest.raises(Invalid):
            storage.delete(f"{place}k", if_version=ABSENT)
