"""What every secret manager promises, one test a promise. Give the class `secrets` and `plant`, run it with pytest.

`plant(name, value)` stores the newest value by the means of the manager itself, which the port does not offer.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.errors import AdapterError, Invalid, NotFound
from adapters.ports import Secrets

Plant = Callable[[str, str], None]
CANARY = "planted-4711-canary"


class SecretsSuite:
    """The promises of `adapters.ports.Secrets`. Each test plants secrets of its own."""

    @pytest.fixture
    def name(self) -> str:
        """A name that no other test uses."""
        return f"test-{os.urandom(6).hex()}"

    @pytest.mark.parametrize(
        "value",
        [
            "p4ss",
            " padded ",
            "two\nlines",
            "Grüße 世界 🗝",
            "'\"\\{}%s$HOME`",
            "x" * 60_000,
            '{"user": "a", "password": "b"}',
        ],
        ids=["word", "spaces", "lines", "unicode", "quotes", "60kB", "json"],
    )
    def test_a_value_comes_back_as_it_was_stored(self, secrets: Secrets, plant: Plant, name: str, value: str) -> None:
        plant(name, value)
        assert secrets.get(name) == value

    def test_the_newest_value_is_read_at_once(self, secrets: Secrets, plant: Plant, name: str) -> None:
        for value in ("first", "second", "third"):
            plant(name, value)
            assert secrets.get(name) == value

    def test_an_absent_secret_is_not_found_by_name(self, secrets: Secrets, plant: Plant, name: str) -> None:
        plant(name, CANARY)
        for absent in (name + "x", name[:-1], "x" + name):
            with pytest.raises(NotFound) as refusal:
                secrets.get(absent)
            assert refusal.value.name == absent
            assert refusal.value.cure

    @pytest.mark.parametrize("length", [1, 128])
    def test_every_portable_name_is_taken(self, secrets: Secrets, plant: Plant, name: str, length: int) -> None:
        name = name.ljust(length, "9")[:length]
        plant(name, "value of " + name)
        assert secrets.get(name) == "value of " + name

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            ".",
            "..",
            "../a",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "A",
            "a_b",
            "-a",
            "a-",
            "a\n",
            "a\x00",
            "é",
            "a" * 129,
            None,
            b"a",
        ],
        ids=repr,
    )
    def test_a_name_that_some_cloud_refuses_is_refused_everywhere(self, secrets: Secrets, wrong: Any) -> None:
        with pytest.raises(Invalid):
            secrets.get(wrong)

    def test_a_value_is_in_no_log_at_any_level(
        self,
        secrets: Secrets,
        plant: Plant,
        name: str,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        plant(name, CANARY)
        capfd.readouterr()
        with caplog.at_level(logging.DEBUG):
            caplog.clear()
            assert secrets.get(name) == CANARY
        # A formatter may print any attribute of a record, not its message alone.
        assert CANARY not in repr([vars(record) for record in caplog.records])
        assert CANARY not in "".join(capfd.readouterr())

    def test_a_value_is_in_no_error_and_no_repr(self, secrets: Secrets, plant: Plant, name: str) -> None:
        plant(name, CANARY)
        assert secrets.get(name) == CANARY
        assert CANARY not in repr(secrets) + str(secrets)
        for wrong in (name + "x", name.upper()):
            with pytest.raises(AdapterError) as refusal:
                secrets.get(wrong)
            assert CANARY not in "".join(traceback.format_exception(refusal.value))

    def test_several_threads_may_ask_at_once(self, secrets: Secrets, plant: Plant, name: str) -> None:
        for index in range(4):
            plant(f"{name}-{index}", f"value {index}")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda index: secrets.get(f"{name}-{index % 4}"), range(24)))
        assert answers == [f"value {index % 4}" for index in range(24)]
