"""A guarded logger keeps quiet for the thread that reads a secret, for as long as it does, and for nobody else."""

from __future__ import annotations

import logging
import threading

import pytest

from adapters.drivers.secrets.unlogged import guard, unlogged


def test_only_the_thread_inside_is_silenced_and_only_for_the_time(caplog: pytest.LogCaptureFixture) -> None:
    guard("sdk.parsers")
    logger = logging.getLogger("sdk.parsers")
    with caplog.at_level(logging.DEBUG, "sdk.parsers"):
        logger.debug("before")
        with unlogged():
            logger.debug("inside")
            other = threading.Thread(target=logger.debug, args=("another thread",))
            other.start()
            other.join(10)
        logger.debug("after")
    assert [record.message for record in caplog.records] == ["before", "another thread", "after"]


def test_an_error_inside_ends_the_silence(caplog: pytest.LogCaptureFixture) -> None:
    guard("sdk.parsers")
    with pytest.raises(ZeroDivisionError), unlogged():
        raise ZeroDivisionError
    with caplog.at_level(logging.DEBUG, "sdk.parsers"):
        logging.getLogger("sdk.parsers").debug("heard again")
    assert caplog.messages == ["heard again"]
