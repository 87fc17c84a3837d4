"""SQLite set up to keep promises: durable commits, foreign keys, writers that queue instead of failing midway."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event

from adapters.errors import Corrupt, Invalid

BUSY_SECONDS = 30.0
PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers of other processes go on while one writes
    "PRAGMA synchronous = FULL",  # a commit is on the disk when it returns
    "PRAGMA foreign_keys = ON",
)


def engine(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """An engine for the file that `url` names; its folder is made where missing. Raises Invalid for no file at all."""
    path = url.database
    if not path or path == ":memory:":
        raise Invalid("SQLite needs a file here", name="database.url", cure="expected sqlite:////folder/file.db")
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    made = sqlalchemy.create_engine(
        url,
        hide_parameters=True,
        # Ours to begin: the module's own idea of when a transaction starts leaves reads outside of it.
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "detect_types": sqlite3.PARSE_DECLTYPES},
    )
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    return made


def as_text(time: datetime) -> str:
    """ISO 8601 in UTC, always with microseconds: as text such times sort as they do in time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: sqlalchemy.Connection) -> None:
    # The write lock at once: a transaction that reads first and writes later could never get it while another waits.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _time(stored: bytes) -> datetime:
    try:
        return datetime.fromisoformat(stored.decode())
    except ValueError as error:
        raise Corrupt(f"a TIMESTAMPTZ column holds {stored[:40]!r}", cure="store times as parameters") from error


def _truth(stored: bytes) -> bool:
    if stored in (b"0", b"1"):
        return stored == b"1"
    raise Corrupt(f"a BOOLEAN column holds {stored[:40]!r}", cure="store True and False as parameters")


# Known to the whole process, but only connections that ask for declared types use them.
sqlite3.register_converter("TIMESTAMPTZ", _time)
sqlite3.register_converter("BOOLEAN", _truth)
