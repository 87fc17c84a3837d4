"""File locks exclude threads and processes, and are waited for no longer than said."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from adapters.drivers.launcher.locks import hold, locked, wait_for
from adapters.errors import DeadlineExceeded


def test_a_lock_that_is_held_is_not_given_to_another_thread(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", seconds=0) as first:
        assert first is not None
        with hold(tmp_path / "lock", seconds=0) as second:
            assert second is None
    with hold(tmp_path / "lock", seconds=0) as third:
        assert third is not None


def test_readers_share_and_a_writer_waits_for_them(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", seconds=0, shared=True), hold(tmp_path / "lock", seconds=0, shared=True) as second:
        assert second is not None
        with hold(tmp_path / "lock", seconds=0) as writer:
            assert writer is None


def test_a_lock_comes_as_soon_as_it_is_let_go(tmp_path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with locked(tmp_path / "lock", seconds=10, name="task"):
            got.set()

    with locked(tmp_path / "lock", seconds=0, name="task"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.is_set()
    waiter.join(10)
    assert got.is_set()


def test_waiting_ends_in_time_and_names_what_was_waited_for(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", seconds=0, name="task"):
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="task"), locked(tmp_path / "lock", seconds=0.1, name="task"):
            pytest.fail("it was held twice")
        assert 0.1 <= time.monotonic() - began < 2


def test_waiting_ends_when_it_is_no_longer_wanted(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", seconds=0, name="task"), hold(tmp_path / "lock", seconds=10, unless=lambda: True):
        pass


def test_an_event_is_asked_at_least_once() -> None:
    assert wait_for(lambda: True, seconds=0)
    assert not wait_for(lambda: False, seconds=0)
