"""The headers of ours on a record, and what may stand in a record at all."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from adapters.errors import Invalid
from adapters.ports import Message, Record

ID = "isthmus-id"
ORIGIN = "isthmus-origin"
"""Of a dead letter: `topic/partition/offset` of the record it was."""
ATTEMPTS = "isthmus-attempts"
REASON = "isthmus-reason"
DEAD_LETTERS = ".dlq"
"""Put after a topic's name, the topic of its dead letters."""

LARGEST_BYTES = 1_000_000
"""Key, value and headers of one record: what brokers take unless told otherwise, less the batch around it."""

_RECORD_OVERHEAD_BYTES = 64
_HEADER_OVERHEAD_BYTES = 10
_SURELY_FITS_BYTES = 900_000
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check_topic(topic: str) -> str:
    """`topic`, if that can be a topic's name. Raises Invalid."""
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise Invalid(
            "not a topic's name", name=repr(topic), cure="use 1 to 249 letters, digits, dots, underscores and hyphens"
        )
    return topic


def check_records(records: Sequence[Record]) -> None:
    """Raises Invalid for a record that no broker takes, naming its place, before anything of its batch is sent."""
    for index, record in enumerate(records):
        value, key = record.value, record.key
        if (
            type(value) is bytes
            and key is None
            and not record.headers
            and len(value) + len(record.id) < _SURELY_FITS_BYTES
        ):
            continue
        _check(index, value, key, record)


def _check(index: int, value: object, key: object, record: Record) -> None:
    name = f"record {index}"
    if not isinstance(value, bytes) or not (key is None or isinstance(key, bytes)):
        raise Invalid("the key and value of a record are bytes", name=name)
    if ID in record.headers:
        raise Invalid(f"the header {ID} is written from Record.id", name=name, cure="set that instead")
    size = len(value) + len(key or b"") + len(record.id) + _RECORD_OVERHEAD_BYTES
    size += sum(len(each) + len(encode_header(text)) + _HEADER_OVERHEAD_BYTES for each, text in record.headers.items())
    if size > LARGEST_BYTES:
        raise Invalid(
            f"{size:,} bytes, at most {LARGEST_BYTES:,} fit",
            name=name,
            cure="put the body into object storage and publish its key",
        )


def ids() -> Iterator[str]:
    """Identifiers for records that come without: unique over processes (96 random bits), ascending within one.

    Several threads may take from it at once, which a generator would refuse.
    """
    return map((os.urandom(12).hex() + "-{:x}").format, itertools.count())


def decode_headers(raw: Mapping[str, bytes | str | None]) -> dict[str, str]:
    """Headers as text. Bytes that are not UTF-8 survive the way there and back."""
    return {
        name: value if isinstance(value, str) else (value or b"").decode("utf-8", "surrogateescape")
        for name, value in raw.items()
        if name != ID
    }


def encode_header(value: str) -> bytes:
    """The reverse of `decode_headers`."""
    return value.encode("utf-8", "surrogateescape")


def epitaph(message: Message, reason: str) -> Record:
    """The dead letter of a message: itself, with where it was, how often it was tried and why it ended."""
    position = message.position
    headers = {
        **message.headers,
        ORIGIN: f"{position.topic}/{position.partition}/{position.offset}",
        ATTEMPTS: str(message.attempt),
        REASON: reason,
    }
    return Record(message.value, key=message.key, headers=headers, id=message.id)


def check_subscription(topics: Sequence[str], group: str, start: str) -> list[str]:
    """The topics, each once. Raises Invalid for a subscription that can never be."""
    if isinstance(topics, str) or not topics:
        raise Invalid("subscribe to at least one topic", name=repr(topics), cure="give a list of names")
    if not group:
        raise Invalid("a subscription needs a group", name="group", cure="name the consumers that share the work")
    if start not in ("earliest", "latest"):
        raise Invalid(f"unknown start {start!r}", name="start", cure="say earliest or latest")
    return [check_topic(topic) for topic in dict.fromkeys(topics)]


def check_partitions(partitions: int, topic: str) -> None:
    """Raises Invalid for a number of partitions no topic can have."""
    if partitions < 1:
        raise Invalid(f"{partitions} partitions", name=topic, cure="a topic has at least 1")


def check_moment(when: datetime) -> None:
    """Raises Invalid for a time whose zone is not said."""
    if when.tzinfo is None:
        raise Invalid(f"{when} has no time zone", name="when", cure="give an aware datetime, such as datetime.now(UTC)")
