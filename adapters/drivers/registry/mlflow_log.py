"""One model's log on MLflow: a registered model `isthmus.log.<model>`, whose version n is the n-th thing that was asked for.

MLflow's aliases and tags are last-write-wins. Its one atomic act is to create a model version, which gets a number that
no other has, and a higher one than all that could be seen. So a writer appends what it decided, with what it decided on,
and whether that took effect follows from the entries before: everybody who reads them finds the same winner. An entry
that came too late stays in the log without effect, and its writer decides again.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Unpack

import msgspec

from adapters.drivers.registry import names
from adapters.drivers.registry.change_log import ChangeLog, LogOptions, Made
from adapters.drivers.registry.mlflow_api import PAGE, MlflowApi, Stored, pauses
from adapters.drivers.registry.records import (
    MAX_RECORD_BYTES,
    NOTHING_BEFORE,
    Change,
    Registered,
    corrupt,
    seal,
    unseal,
)
from adapters.drivers.registry.state import ModelState
from adapters.errors import Conflict, Invalid, Transient

PREFIX = "isthmus.log."
RECORD = "isthmus.record."
MAX_ENTRY_BYTES = MAX_RECORD_BYTES + 4096
"""What MLflow took in as a version's record must fit into an entry, or no version after it could appear."""

PIECE_CHARACTERS = 4000
"""Of one tag: MLflow's databases took 5,000 characters for most of its life."""


def log_name(model: str) -> str:
    """The registered model that holds the model's log. Raises Invalid for what cannot be a model's name."""
    names.check_model(model)
    if model.startswith(PREFIX):
        raise Invalid(f"names that begin with {PREFIX} are those of logs in MLflow", name=model, cure="choose another")
    return PREFIX + model


def to_tags(record: bytes) -> list[dict[str, str]]:
    """A record, which is ASCII, in pieces that fit into tags."""
    text = record.decode("ascii")
    pieces = (text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS))
    return [{"key": f"{RECORD}{number:03d}", "value": piece} for number, piece in enumerate(pieces)]


def from_tags(version: Stored) -> bytes:
    """The record that is in the version's tags; empty where there is none."""
    return "".join(version.tags[key] for key in sorted(version.tags) if key.startswith(RECORD)).encode()


def ascii_json(content: msgspec.Struct) -> bytes:
    """As JSON without any character that some database could not hold."""
    return json.dumps(msgspec.to_builtins(content), separators=(",", ":")).encode("ascii")


class Appended(msgspec.Struct, frozen=True):
    """What a writer asks for, having read `read` entries, up to the one whose digest in the chain is `digest`."""

    model: str
    read: int
    digest: str
    id: str
    """Random: one that was sent twice, because its first answer was lost, counts once."""
    time: datetime
    writer: str
    change: Change


class MlflowLog(ChangeLog):
    """A log on MLflow."""

    def __init__(self, api: MlflowApi, model: str, **options: Unpack[LogOptions]) -> None:
        self._name = log_name(model)
        super().__init__(model, **options)
        self._api = api
        self._chain = [NOTHING_BEFORE]  # by number: the digest of the entry and of all before it
        self._epochs: dict[str, int] = {}  # by id: at which epoch it took effect, 0 for not at all

    def change(self, decide: Callable[[ModelState], Made]) -> tuple[int, Made]:
        with self.turn() as deadline:
            while True:
                change = self.ask(decide)
                if epoch := self._append(change, deadline):
                    return epoch, change
                if time.monotonic() > deadline:
                    raise self._crowded()

    def show(self, made: Registered, earlier: Callable[[int], Iterable[Registered]], deadline: float) -> None:
        """Make a version visible that has its number, after those of lower numbers, so that none appears behind another.

        `earlier(n)` finds those above n that MLflow has: a writer that was slower, or that ended half way.
        """
        for one in earlier(self.ask(lambda state: state.newest)):
            self._append(one, deadline)
        if not self._append(made, deadline) and self.recall(lambda state: state.registered(made.version)) != made:
            raise Conflict(
                f"MLflow gave the number {made.version} for a second time: the registered model was deleted there",
                name=self.model,
                cure="restore it there from a backup; registering again gives the next number",
            )

    # ------------------------------------------------------------------------------------------------ appending

    def _append(self, change: Change, deadline: float) -> int:
        """The epoch of the change; 0 when the entries before it left it without effect."""
        with self._folding:
            entry = Appended(
                model=self.model,
                read=len(self._chain) - 1,
                digest=self._chain[-1],
                id=uuid.uuid4().hex,
                time=self._time(),
                writer=self._writer,
                change=change,
            )
        self._send(entry.id, seal(ascii_json(entry), model=self.model, limit=MAX_ENTRY_BYTES), deadline)
        with self._folding:
            return self._epochs[entry.id]

    def _send(self, id: str, record: bytes, deadline: float) -> None:
        """Until the entry is in the log and has been read."""
        fault, number = self._crowded(), 0
        for _ in pauses(deadline):
            if not number:
                try:
                    number = self._api.create_version(
                        self._name, source=f"isthmus:///{self._name}", tags=to_tags(record)
                    )
                except Transient as error:
                    fault = error  # it may be there all the same
                else:
                    self._fold_if_next(number, record)
                    fault = Transient(
                        f"entry {number} was acknowledged and is not shown",
                        name=self._name,
                        cure="let MLflow read from its primary database, not from a replica",
                    )
            if id not in self._epochs:
                self._catch_up()
            if id in self._epochs:
                return
        raise fault

    # -------------------------------------------------------------------------------------------------- reading

    def _catch_up(self) -> None:
        while True:
            read = len(self._chain) - 1
            found = self._api.versions(f"name = '{self._name}' and version_number > {read}", most=PAGE)
            with self._folding:
                for version in found:
                    if version.number >= len(self._chain):  # else another thread has folded it
                        self._fold(version.number, from_tags(version))
            if len(found) < PAGE:
                return

    def _fold_if_next(self, number: int, record: bytes) -> None:
        with self._folding:
            if number == len(self._chain):
                self._fold(number, record)

    def _fold(self, number: int, record: bytes) -> None:
        name = f"MLflow's {self._name} version {number}"
        if number != len(self._chain):
            raise corrupt(name, f"version {len(self._chain)}, which goes before it, was deleted")
        entry, digest = unseal(record, Appended, name=name)
        if entry.model != self.model or not entry.read < number or self._chain[entry.read] != entry.digest:
            raise corrupt(name, f"its writer had read other entries up to {entry.read} than are there now")
        self._chain.append(hashlib.sha256(f"{self._chain[-1]} {digest}".encode()).hexdigest())
        if entry.id in self._epochs:
            return
        effective = self._state.fits(entry.change)
        if effective:  # a clock that is behind must not put an effect before its cause
            self._state.take(entry.change, epoch=number, time=max(entry.time, self._state.time))
        self._epochs[entry.id] = number * effective
