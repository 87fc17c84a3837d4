"""SQLite and PostgreSQL through SQLAlchemy's core: plain statements, serializable transactions, no models.

For statements that both understand, declare times as `TIMESTAMPTZ`, truth values as `BOOLEAN`, bytes as `BYTEA` and text
as `TEXT`. A time must know its zone and comes back in UTC. Of an expression over a time, such as `max(at)`, SQLite
answers ISO 8601 text, which sorts as the times do.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from adapters import missing
from adapters.errors import Invalid
from adapters.settings import DatabaseSettings, reveal

try:
    import sqlalchemy
    from sqlalchemy import exc

    from adapters.drivers.database import postgresql, sqlite
    from adapters.drivers.database.sql_errors import translating
except ImportError as error:
    raise missing("sqlalchemy", extra="runtime") from error

NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})
ENGINES = {"sqlite": sqlite.engine, "postgresql": postgresql.engine}
EXPECTED = "expected sqlite:////folder/file.db or postgresql+psycopg://user@host/name"


def open(section: DatabaseSettings) -> SqlDatabase:
    """The database that `section.url` names; a server is not contacted before the first transaction. Raises Invalid."""
    if not section.url:
        raise Invalid("no database is named", name="database.url", cure=f"set ISTHMUS_DATABASE_URL: {EXPECTED}")
    try:
        url = sqlalchemy.make_url(section.url)
    except exc.ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in ENGINES:
        # The text itself is not quoted: it may hold a password.
        raise Invalid("this is no URL of a database that we know", name="database.url", cure=EXPECTED)
    if url.password is not None or "password" in url.query:
        raise Invalid(
            "the URL holds a password",
            name="database.url",
            cure="name it in database.password as file:, env: or secret:",
        )
    return SqlDatabase(url.set(password=reveal(section.password)))


class SqlDatabase:
    """The port over one engine and its pool of connections. `repr` shows where, never the password."""

    def __init__(self, url: sqlalchemy.URL) -> None:
        self._dialect = url.get_backend_name()
        self._place = f"{url.host or ''}/{url.database or ''}" if url.host else (url.database or "")
        with translating(self._place):
            self._engine = ENGINES[self._dialect](url)
        self._thread = threading.local()

    def __repr__(self) -> str:
        return f"SqlDatabase({self._dialect}, {self._place!r})"

    @property
    def dialect(self) -> str:
        return self._dialect

    @property
    def url(self) -> str:
        return self._engine.url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        if getattr(self._thread, "busy", False):
            raise Invalid(
                "this thread is inside a transaction of this database already",
                name=self._place,
                cure="pass the open transaction on instead of beginning another",
            )
        self._thread.busy = True
        try:
            with translating(self._place):
                connection = self._engine.connect()
            try:
                yield from self._within(connection)
            finally:
                connection.close()
        finally:
            self._thread.busy = False

    def _within(self, connection: sqlalchemy.Connection) -> Iterator[SqlTransaction]:
        with translating(self._place):
            connection.begin()
        transaction = SqlTransaction(connection, self._place, self._dialect)
        try:
            yield transaction
            transaction.finish()
        except BaseException:
            transaction.abandon()
            # On a lost connection this fails too; the server rolls back by itself.
            with contextlib.suppress(exc.SQLAlchemyError):
                connection.rollback()
            raise
        with translating(self._place, at_commit=True):
            connection.commit()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


class SqlTransaction:
    """Statements of one open transaction; of no use after its block."""

    def __init__(self, connection: sqlalchemy.Connection, place: str, dialect: str) -> None:
        self._connection = connection
        self._place = place
        self._dialect = dialect
        self._open = True
        self._failed = False

    def execute(
        self, statement: str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] = NO_PARAMETERS
    ) -> int:
        if isinstance(parameters, Mapping):
            return max(0, self._run(statement, self._bound(parameters)).rowcount)
        many = [self._bound(one) for one in parameters]
        return max(0, self._run(statement, many).rowcount) if many else 0

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._watching():
            rows = self._run(statement, self._bound(parameters or NO_PARAMETERS)).mappings().all()
        return [{name: _in_utc(value) for name, value in row.items()} for row in rows]

    def finish(self) -> None:
        """Called when the block ended well. Raises Invalid where a statement's error was swallowed in it."""
        self._open = False
        if self._failed:
            raise Invalid(
                "a statement failed and the block went on, so nothing of it is committed",
                name=self._place,
                cure="let the error leave the block, then begin anew",
            )

    def abandon(self) -> None:
        """Called when the block raised."""
        self._open = False

    def _run(self, statement: str, parameters: Any) -> sqlalchemy.CursorResult[Any]:
        if not self._open:
            raise Invalid("this transaction has ended", name=self._place, cure="begin another")
        if self._failed:
            raise Invalid("a statement failed before", name=self._place, cure="let its error leave the block")
        with self._watching():
            return self._connection.execute(sqlalchemy.text(statement), parameters)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            with translating(self._place):
                yield
        except BaseException:
            self._failed = True
            raise

    def _bound(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in parameters.items()}

    def _value(self, name: str, value: Any) -> Any:
        if not isinstance(value, datetime):
            return value
        if value.tzinfo is None:
            raise Invalid("this time has no zone", name=f":{name}", cure="use datetime.now(UTC) or give it a tzinfo")
        return sqlite.as_text(value) if self._dialect == "sqlite" else value


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value
