"""Kafka's jars are taken only as the lock knows them, to the last bit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tool_samples import names

from tools import kafka
from tools.failure import SetupFailed
from tools.kafka import Jar

CONTENT = os.urandom(1000)
JAR = Jar("org.apache.kafka:kafka_2.13:4.3.1", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the one jar in it."""
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / JAR.file_name).write_bytes(CONTENT)
    return folder


def test_a_jar_has_the_name_that_maven_gives_it() -> None:
    assert JAR.file_name == "kafka_2.13-4.3.1.jar"


def test_what_the_lock_lists_is_accepted(place: Path) -> None:
    kafka.verify(place, [JAR])


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:500] + bytes([b[500] ^ 1]) + b[501:], lambda b: b + b"x"]
)
def test_one_changed_bit_is_refused_by_name(place: Path, damage: object) -> None:
    (place / JAR.file_name).write_bytes(damage(CONTENT))  # pyright: ignore[reportCallIssue]
    with pytest.raises(SetupFailed, match=r"kafka_2\.13-4\.3\.1\.jar did not come as locks/kafka\.txt says"):
        kafka.verify(place, [JAR])


def test_a_jar_that_did_not_come_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"kafka_2\.13-4\.3\.1\.jar"):
        kafka.verify(tmp_path, [JAR])


def test_an_interrupted_run_keeps_whole_jars_and_drops_the_rest(place: Path) -> None:
    (place / "torn-1.jar").write_bytes(b"x")
    kafka.keep_only(place, [JAR])
    assert names(place) == [JAR.file_name]
    (place / JAR.file_name).write_bytes(CONTENT[:10])
    kafka.keep_only(place, [JAR])
    assert names(place) == []


def test_a_new_installation_begins_with_the_jars_of_the_old(place: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    kafka.reuse(place, tmp_path / "new")
    kafka.verify(tmp_path / "new", [JAR])
