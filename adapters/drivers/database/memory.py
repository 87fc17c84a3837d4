"""A database that is gone when it is closed: SQLite on a file of its own, so that its URL works for others too."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy

from adapters.drivers.database.sql import SqlDatabase
from adapters.settings import DatabaseSettings


def open(section: DatabaseSettings) -> TemporaryDatabase:
    """An empty database of its own; of the settings none applies."""
    return TemporaryDatabase()


class TemporaryDatabase(SqlDatabase):
    """SQLite in a temporary folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-database-")
        super().__init__(sqlalchemy.URL.create("sqlite", database=str(Path(self._folder.name) / "memory.db")))

    def close(self) -> None:
        """Close every connection and delete the file."""
        super().close()
        self._folder.cleanup()
