"""Which of our errors each of the databases' is: by SQLSTATE for PostgreSQL, by result code for SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import exc

from adapters.errors import AdapterError, Conflict, Corrupt, DeadlineExceeded, Denied, Invalid, NotFound, Transient

AGAIN = "run the transaction again"
UNKNOWN = "whether it was committed is not known: look before you run it again"

# By the beginning of the code; the first row that fits decides.
SQLSTATES: tuple[tuple[str, type[AdapterError], str], ...] = (
    ("40001", Conflict, AGAIN),
    ("40P01", Conflict, AGAIN),
    ("55P03", Conflict, AGAIN),
    ("23", Conflict, "a constraint of the table refuses it"),
    ("28", Denied, "check database.url's user and database.password"),
    ("42501", Denied, "grant it to this user"),
    ("3D000", NotFound, "create the database, or mend database.url"),
    ("57014", DeadlineExceeded, "the statement's time is over"),
    ("08", Transient, ""),
    ("25006", Transient, "this server is a standby"),
    ("53", Transient, "the server is short of something"),
    ("57P", Transient, "the server is stopping or starting"),
    ("58", Transient, ""),
    ("XX001", Corrupt, ""),
    ("XX002", Corrupt, ""),
    ("XX", Transient, ""),
)
# What libpq says when there is no connection, and so no SQLSTATE yet.
REFUSALS: tuple[tuple[str, type[AdapterError], str], ...] = (
    ("authentication failed", Denied, "check database.url's user and database.password"),
    ("no password supplied", Denied, "name one in database.password"),
    ("no pg_hba.conf entry", Denied, "let this machine in at the server"),
    ("certificate verify failed", Denied, "check the URL's sslrootcert"),
    ("role ", Denied, "check database.url's user"),
    ("does not exist", NotFound, "create the database, or mend database.url"),
)
RESULT_CODES: tuple[tuple[str, type[AdapterError], str], ...] = (
    ("SQLITE_CONSTRAINT", Conflict, "a constraint of the table refuses it"),
    ("SQLITE_BUSY", Transient, "another transaction holds the database for too long"),
    ("SQLITE_LOCKED", Transient, "another transaction holds the table"),
    ("SQLITE_CANTOPEN", NotFound, "check database.url: the file's folder must be there and writable"),
    ("SQLITE_READONLY", Denied, "make the file and its folder writable"),
    ("SQLITE_PERM", Denied, "make the file and its folder writable"),
    ("SQLITE_AUTH", Denied, ""),
    ("SQLITE_FULL", Transient, "make room on the disk"),
    ("SQLITE_IOERR", Transient, "the disk fails"),
    ("SQLITE_CORRUPT", Corrupt, "restore the file from a backup"),
    ("SQLITE_NOTADB", Corrupt, "check database.url: that file is no database"),
)


@contextmanager
def translating(place: str, *, at_commit: bool = False) -> Iterator[None]:
    """Raise SQLAlchemy's errors as ours, naming the database."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise _translated(error, place, at_commit=at_commit) from error
    except OverflowError as error:
        raise Invalid(f"a number is too large: {error}", name=place) from error


def _translated(error: exc.SQLAlchemyError, place: str, *, at_commit: bool) -> AdapterError:
    if isinstance(error, exc.TimeoutError):
        return Transient("every connection is in use", name=place, cure="keep transactions short")
    if not isinstance(error, exc.DBAPIError):
        return Invalid(_first_line(error), name=place, cure="give each :name a parameter; read rows with query")
    ours, cure = _classified(error)
    if at_commit and ours is Transient:
        cure = UNKNOWN
    return ours(_said(error.orig), name=place, cure=cure)


def _classified(error: exc.DBAPIError) -> tuple[type[AdapterError], str]:
    native = error.orig
    state: str | None = getattr(native, "sqlstate", None)
    code: str | None = getattr(native, "sqlite_errorname", None)
    if state:
        return _match(SQLSTATES, state.startswith) or (Invalid, "")
    if code:
        return _match(RESULT_CODES, code.startswith) or (Invalid, "")
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
        text = str(native)
        return _match(REFUSALS, text.__contains__) or (Transient, "check that the server runs and can be reached")
    return Invalid, ""


def _match(table: tuple[tuple[str, type[AdapterError], str], ...], fits: Any) -> tuple[type[AdapterError], str] | None:
    return next(((ours, cure) for part, ours, cure in table if fits(part)), None)


def _said(native: BaseException | None) -> str:
    """The server's first line; what follows, PostgreSQL's DETAIL, quotes stored values."""
    diagnosis = getattr(native, "diag", None)
    return getattr(diagnosis, "message_primary", None) or _first_line(native)


def _first_line(error: BaseException | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
