"""One change of a model, as bytes: what it says, and how it vouches for itself and for the change before it.

    {"schema":1,"sha256":"<digest of the entry's bytes>","entry":{"epoch":7,"previous":"<digest of entry 6>",...}}

One line of JSON, so that a page is its records under each other.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec

from adapters.errors import Corrupt, Invalid, Unsupported
from adapters.ports import Artifact

SCHEMA = 1
NOTHING_BEFORE = "0" * 64
"""As `previous`, in a model's first entry."""

MAX_RECORD_BYTES = 1 << 20


class Registered(msgspec.Struct, frozen=True, tag="registered", tag_field="kind"):
    """A version came to be. Its files were stored before this was written."""

    version: int
    artifacts: tuple[Artifact, ...]
    metrics: dict[str, float]
    params: dict[str, str]
    lineage: dict[str, str]
    tags: dict[str, str]


class AliasMoved(msgspec.Struct, frozen=True, tag="alias_moved", tag_field="kind"):
    """The alias went from version `was` to `version`; None is "not set"."""

    alias: str
    was: int | None
    version: int | None


class TagsMerged(msgspec.Struct, frozen=True, tag="tags_merged", tag_field="kind"):
    """These tags of a version were set, or removed where the value is None."""

    version: int
    tags: dict[str, str | None]


Change: TypeAlias = Registered | AliasMoved | TagsMerged


class Entry(msgspec.Struct, frozen=True):
    """A change; `epoch` is its number in the model's log, from 1; `previous` the digest of the entry before it."""

    model: str
    epoch: int
    previous: str
    id: str
    """Random: tells two writers' otherwise equal records apart."""
    time: datetime
    writer: str
    change: Change


class _Envelope(msgspec.Struct):
    schema: int
    sha256: str
    entry: msgspec.Raw


_envelopes = msgspec.json.Decoder(_Envelope)

Content = TypeVar("Content")


def encode(entry: Entry) -> bytes:
    """The entry's record, without a line end. Raises Invalid when it is too large to be read often."""
    return seal(msgspec.json.encode(entry), model=entry.model)


def decode(record: bytes, *, name: str) -> tuple[Entry, str]:
    """The entry and its digest. Raises Corrupt naming `name`, or Unsupported for a newer schema."""
    return unseal(record, Entry, name=name)


def seal(body: bytes, *, model: str, limit: int = MAX_RECORD_BYTES) -> bytes:
    """JSON with its digest around it. Raises Invalid, naming the model, when it is too large to be read often."""
    record = msgspec.json.encode(_Envelope(SCHEMA, hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))
    if len(record) > limit:
        raise Invalid(
            f"this change takes {len(record):,} bytes of metrics, params, lineage, tags and file names; "
            f"{limit:,} is the limit",
            name=model,
            cure="put long texts into a file of the version",
        )
    return record


def unseal(record: bytes, kind: type[Content], *, name: str) -> tuple[Content, str]:
    """What was sealed, and its digest. Raises Corrupt naming `name`, or Unsupported for a newer schema."""
    try:
        envelope = _envelopes.decode(record)
        digest = hashlib.sha256(envelope.entry).hexdigest()
        if envelope.schema > SCHEMA:
            raise Unsupported(
                f"written with schema {envelope.schema}; this version reads {SCHEMA}", name=name, cure="upgrade isthmus"
            )
        if digest != envelope.sha256:
            raise corrupt(name, f"the entry has SHA-256 {digest}, recorded is {envelope.sha256}")
        return msgspec.json.decode(envelope.entry, type=kind), digest
    except msgspec.DecodeError as error:
        raise corrupt(name, f"not a record: {error}") from error


def corrupt(name: str, what: str) -> Corrupt:
    """The error for a damaged record or page, named by its key, or by its place in MLflow."""
    if "/pages/" in name:
        cure = "delete the page: its records are read instead, and the next change writes it again"
    elif "/log/" in name:
        cure = "restore this object from the bucket's older versions"
    else:
        cure = "restore MLflow's database from a backup"
    return Corrupt(what, name=name, cure=cure)
