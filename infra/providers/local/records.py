"""What was started on this machine, written down before and after, so that nothing is ever running unknown.

A record is written with the intent, before the spawn, and again with the pid right after it. A provider that dies
between the two leaves a token instead: every process carries it in its environment.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from infra.providers.base import ProviderError
from infra.providers.local import identity
from infra.providers.local.places import Place, run_folder, write_private
from infra.providers.local.spec import Stop

_SPAWN_SECONDS = 2.0

Phase = Literal["intent", "setup", "started", "ready"]


class Record(msgspec.Struct, kw_only=True):
    """One start of one process. `digest` names what it was started with; `token` is in its environment."""

    id: str
    urn: str
    name: str
    program: str
    token: str
    digest: str
    ports: dict[str, int]
    stop: Stop
    keep_data: bool
    phase: Phase = "intent"
    pid: int = 0
    birth: str = ""
    started: str = ""

    @property
    def stack(self) -> str:
        """`project/stack`."""
        return self.id.rpartition("/")[0]

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        return identity.alive(self.pid, self.birth)

    @property
    def running(self) -> bool:
        """Whether anything this start made runs now, a worker it left behind included."""
        return self.alive or bool(identity.with_token(self.token))

    def born(self, pid: int, phase: Phase) -> None:
        """Note the process that now stands for this record."""
        self.pid, self.birth, self.phase = pid, identity.birth(pid), phase
        self.started = datetime.now(UTC).isoformat(timespec="milliseconds")


class Ended(msgspec.Struct, frozen=True):
    """A process that `reap` ended."""

    record: Record
    was_running: bool


def save(place: Place, record: Record) -> None:
    """Write the record down, whole or not at all."""
    write_private(place.record, msgspec.json.encode(record).decode())


def load(place: Place) -> Record | None:
    """The record of `place`; one whose provider died before it could note the pid gets it from the token."""
    try:
        record = msgspec.json.decode(place.record.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ProviderError(f"{place.record} is damaged ({error}); delete it after ending what it stood for") from error
    if not record.pid:
        orphans = identity.with_token(record.token)
        if orphans:
            record.born(orphans[0].pid, "setup" if record.phase == "setup" else "started")
            record.started = datetime.fromtimestamp(orphans[0].create_time(), UTC).isoformat(timespec="milliseconds")
    return record


def list_records(stack: str = "", home: Path | None = None) -> list[Record]:
    """Every record of `stack` (`project/stack`, or all of them), in the order of their ids."""
    pattern = f"{stack or '*/*'}/*/record.json"
    places = (Place.of(str(path.parent.relative_to(run_folder(home))), home) for path in _records(pattern, home))
    return [record for place in places if (record := load(place)) is not None]


def reap(stack: str, wanted: Container[str] = frozenset(), home: Path | None = None) -> list[Ended]:
    """End every recorded process of `stack` whose URN is not in `wanted`, and forget it; returns what was ended.

    Run it after a destroy, or after an interrupted update, with the URNs that are still in the state. Data is kept or
    removed as each process asked. Raises ProviderError when a process cannot be ended.
    """
    ended = []
    for record in list_records(stack, home):
        if record.urn not in wanted:
            place = Place.of(record.id, home)
            with place.locked():
                known = _settled(load(place) or record, place)  # it may have been started while we waited for our turn
                ended.append(Ended(known, known.running))
                end(known)
                place.forget(known.keep_data)
    return ended


def _settled(record: Record, place: Place) -> Record:
    """The record once its process can be seen. One without a pid may be of a spawn that has not reached its exec yet:
    its provider is dead, its child not yet recognisable by the token. That takes moments; this looks for a while."""
    deadline = time.monotonic() + _SPAWN_SECONDS
    while not record.pid and time.monotonic() < deadline:
        time.sleep(0.05)
        record = load(place) or record
    return record


def end(record: Record, hurry: identity.Hurry = None) -> None:
    """End what `record` stands for, all of it; raises ProviderError when something survives SIGKILL."""
    stop = record.stop
    if not identity.end(record.pid, record.birth, record.token, stop.number, stop.grace_seconds, hurry):
        left = ", ".join(str(process.pid) for process in identity.members(record.pid, record.birth, record.token))
        raise ProviderError(f"{record.name} does not end: pid {left} survived SIGKILL; end it and run this again")


def _records(pattern: str, home: Path | None) -> Iterator[Path]:
    folder = run_folder(home)
    yield from sorted(folder.glob(pattern)) if folder.exists() else ()


def holder_of(port: int, records: list[Record]) -> str:
    """Who listens on `port`, as well as this user may know: one of ours, a program with its pid, or ''."""
    pids = {
        connection.pid
        for connection in _listening()
        if connection.laddr and connection.laddr.port == port and connection.pid
    }
    for record in records:
        if port in record.ports.values() and record.alive:
            return f"{record.name} of stack {record.stack} (pid {record.pid})"
    for pid in sorted(pids):
        try:
            return f"{psutil.Process(pid).name()} (pid {pid})"
        except psutil.Error:
            continue
    return ""


def _listening() -> list:
    try:
        return [c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        # macOS tells only root about other people's sockets.
        return []
