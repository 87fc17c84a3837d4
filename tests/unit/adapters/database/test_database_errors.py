"""Each of PostgreSQL's error classes becomes the one of ours that tells the caller what to do."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as native
from sqlalchemy import exc

from adapters.drivers.database.sql_errors import translating
from adapters.errors import AdapterError, Conflict, Corrupt, DeadlineExceeded, Denied, Invalid, NotFound, Transient


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (native.SerializationFailure, Conflict),
        (native.DeadlockDetected, Conflict),
        (native.LockNotAvailable, Conflict),
        (native.UniqueViolation, Conflict),
        (native.ForeignKeyViolation, Conflict),
        (native.InvalidPassword, Denied),
        (native.InsufficientPrivilege, Denied),
        (native.InvalidCatalogName, NotFound),
        (native.QueryCanceled, DeadlineExceeded),
        (native.ConnectionException, Transient),
        (native.TooManyConnections, Transient),
        (native.DiskFull, Transient),
        (native.AdminShutdown, Transient),
        (native.CannotConnectNow, Transient),
        (native.ReadOnlySqlTransaction, Transient),
        (native.DataCorrupted, Corrupt),
        (native.SyntaxError, Invalid),
        (native.UndefinedTable, Invalid),
        (native.NumericValueOutOfRange, Invalid),
        (native.InvalidTextRepresentation, Invalid),
    ],
    ids=lambda value: value.__name__,
)
def test_an_sqlstate_is_classified(error: type[psycopg.Error], expected: type[AdapterError]) -> None:
    with pytest.raises(expected) as refusal, translating("host/name"):
        raise exc.DBAPIError.instance("SELECT 1", {}, error("said"), psycopg.Error)
    assert type(refusal.value) is expected
    assert refusal.value.name == "host/name"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('connection failed: FATAL:  password authentication failed for user "u"', Denied),
        ('connection failed: FATAL:  role "u" does not exist', Denied),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.1"', Denied),
        ("connection failed: SSL error: certificate verify failed", Denied),
        ('connection failed: FATAL:  database "d" does not exist', NotFound),
        ("connection failed: Connection refused", Transient),
        ("consuming input failed: server closed the connection unexpectedly", Transient),
    ],
)
def test_what_libpq_says_without_a_state_is_classified(said: str, expected: type[AdapterError]) -> None:
    with pytest.raises(expected) as refusal, translating("host/name"):
        raise exc.DBAPIError.instance("SELECT 1", {}, psycopg.OperationalError(said), psycopg.Error)
    assert type(refusal.value) is expected


def test_a_pool_without_a_free_connection_is_transient() -> None:
    with pytest.raises(Transient, match="in use"), translating("host/name"):
        raise exc.TimeoutError


def test_an_error_that_is_not_the_databases_passes() -> None:
    with pytest.raises(ZeroDivisionError), translating("host/name"):
        raise ZeroDivisionError
