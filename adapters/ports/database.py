"""The relational database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Database(Protocol):
    """A relational database that workflows and ledgers live in: SQLite for one process, PostgreSQL for many."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, password included: never print it."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A serializable transaction: committed when the block ends, rolled back when it raises.

        Raises Conflict when it lost against a concurrent one (run it again), Transient when the server is away.
        """
        ...

    def close(self) -> None: ...


class Transaction(Protocol):
    """Statements of one transaction. Parameters are named, `:name`, never pasted into the text."""

    def execute(self, statement: str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] = ()) -> int:
        """Run it, once per mapping where several are given; how many rows it changed. Raises Conflict on a broken constraint."""
        ...

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows, each a column name to value mapping."""
        ...
