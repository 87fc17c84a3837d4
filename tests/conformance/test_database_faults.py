"""What the databases do when they are away, busy, full, damaged or closed to us, as the port promises it."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from adapters.drivers.database import memory, sql, sqlite
from adapters.drivers.database.sql import SqlDatabase
from adapters.errors import Corrupt, Denied, Invalid, NotFound, Transient
from adapters.settings import DatabaseSettings, Secret
from tests.postgres_server import PASSWORD, PostgresServer, postgres_server
from tests.servers import free_ports

SECRET = Secret("env:TEST_DATABASE_PASSWORD")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TEST_DATABASE_PASSWORD", PASSWORD)
    return monkeypatch


@pytest.fixture
def postgresql(server: PostgresServer) -> Iterator[SqlDatabase]:
    with closing(sql.open(DatabaseSettings(url=server.url, password=SECRET))) as database:
        with database.transaction() as tx:
            tx.execute("DROP TABLE IF EXISTS notes")
            tx.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY)")
        yield database


def _sqlite(path: Path) -> SqlDatabase:
    return sql.open(DatabaseSettings(url=f"sqlite:///{path}"))


def _notes(database: SqlDatabase) -> list[int]:
    with database.transaction() as tx:
        return [row["id"] for row in tx.query("SELECT id FROM notes ORDER BY id")]


# -------------------------------------------------------------------------------------------------- PostgreSQL away


def test_a_server_that_is_away_is_transient(server: PostgresServer) -> None:
    away = server.url.replace(str(server.port), str(free_ports(1)[0]))
    database = sql.open(DatabaseSettings(url=away, password=SECRET))
    with pytest.raises(Transient, match="server"), database.transaction():
        pytest.fail("it began")


def test_a_server_that_went_away_is_transient_and_used_again_when_it_is_back(
    server: PostgresServer, postgresql: SqlDatabase
) -> None:
    with postgresql.transaction() as tx:
        tx.execute("INSERT INTO notes VALUES (1)")
    server.stop()
    try:
        with pytest.raises(Transient):
            _notes(postgresql)
    finally:
        server.start()
    assert _notes(postgresql) == [1]


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unnoticed(
    server: PostgresServer, postgresql: SqlDatabase
) -> None:
    server.stop()
    server.start()
    assert _notes(postgresql) == []


def test_a_transaction_that_loses_its_server_is_transient_and_commits_nothing(
    server: PostgresServer, postgresql: SqlDatabase
) -> None:
    try:
        with pytest.raises(Transient), postgresql.transaction() as tx:
            tx.execute("INSERT INTO notes VALUES (1)")
            server.stop()
            tx.execute("INSERT INTO notes VALUES (2)")
    finally:
        server.start()
    assert _notes(postgresql) == []


def test_a_commit_whose_answer_never_came_says_that_its_outcome_is_not_known(
    server: PostgresServer, postgresql: SqlDatabase
) -> None:
    try:
        with pytest.raises(Transient, match="not known"), postgresql.transaction() as tx:
            tx.execute("INSERT INTO notes VALUES (1)")
            server.stop()
    finally:
        server.start()


# ------------------------------------------------------------------------------------------------ PostgreSQL refuses


def test_a_wrong_password_is_denied_and_never_shown(server: PostgresServer, password: pytest.MonkeyPatch) -> None:
    password.setenv("TEST_DATABASE_PASSWORD", "planted-4711-wrong")
    database = sql.open(DatabaseSettings(url=server.url, password=SECRET))
    with pytest.raises(Denied, match=r"database\.password") as refusal, database.transaction():
        pytest.fail("it began")
    assert "planted-4711" not in "".join(traceback.format_exception(refusal.value)) + repr(database)
    assert "planted-4711-wrong" in database.url


def test_a_missing_password_is_denied(server: PostgresServer) -> None:
    with pytest.raises(Denied), sql.open(DatabaseSettings(url=server.url)).transaction():
        pytest.fail("it began")


def test_an_unknown_database_is_not_found(server: PostgresServer) -> None:
    section = DatabaseSettings(url=server.url.replace("/postgres", "/no-such-database"), password=SECRET)
    with pytest.raises(NotFound, match="no-such-database"), sql.open(section).transaction():
        pytest.fail("it began")


def test_what_a_user_may_not_do_is_denied(server: PostgresServer, postgresql: SqlDatabase) -> None:
    with postgresql.transaction() as tx:
        tx.execute("DROP ROLE IF EXISTS guest")
        tx.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    section = DatabaseSettings(url=server.url.replace("isthmus@", "guest@"), password=SECRET)
    with closing(sql.open(section)) as guest, pytest.raises(Denied), guest.transaction() as tx:
        tx.query("SELECT * FROM notes")


def test_text_that_postgresql_cannot_keep_is_invalid(postgresql: SqlDatabase) -> None:
    with pytest.raises(Invalid), postgresql.transaction() as tx:
        tx.query("SELECT CAST(:words AS TEXT)", {"words": "nul\0byte"})


# ---------------------------------------------------------------------------------------------------------- SQLite


def test_commits_are_durable_keys_enforced_and_readers_undisturbed(tmp_path: Path) -> None:
    database = _sqlite(tmp_path / "a.db")
    with database.transaction() as tx:
        assert tx.query("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
        assert tx.query("PRAGMA synchronous") == [{"synchronous": 2}]
        assert tx.query("PRAGMA foreign_keys") == [{"foreign_keys": 1}]


def test_many_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with closing(_sqlite(tmp_path / "new.db")) as database, database.transaction() as tx:
            tx.execute("CREATE TABLE IF NOT EXISTS notes (id BIGINT PRIMARY KEY)")
            tx.execute("INSERT INTO notes VALUES (:id)", {"id": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert _notes(_sqlite(tmp_path / "new.db")) == list(range(16))


def test_a_file_that_another_holds_for_too_long_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    database = _sqlite(tmp_path / "a.db")
    with database.transaction() as tx:
        tx.execute("CREATE TABLE notes (id BIGINT)")
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"):
            _notes(database)
        holder.execute("ROLLBACK")
    assert _notes(database) == []


def test_a_full_disk_is_transient_and_loses_only_this_transaction(tmp_path: Path) -> None:
    database = _sqlite(tmp_path / "a.db")
    with database.transaction() as tx:
        tx.execute("CREATE TABLE notes (id BIGINT, body BYTEA)")
        tx.execute("INSERT INTO notes VALUES (1, :body)", {"body": b"small"})
        tx.query("PRAGMA max_page_count = 10")
    with pytest.raises(Transient, match="disk"), database.transaction() as tx:
        tx.execute("INSERT INTO notes VALUES (2, :body)", {"body": bytes(1 << 20)})
    assert _notes(database) == [1]


def test_a_file_that_is_no_database_is_corrupt_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 20)
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="not a database"):
        _notes(_sqlite(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(("column", "stored"), [("at TIMESTAMPTZ", "'soon'"), ("flag BOOLEAN", "7")])
def test_a_value_that_its_column_cannot_hold_is_corrupt(tmp_path: Path, column: str, stored: str) -> None:
    database = _sqlite(tmp_path / "a.db")
    with pytest.raises(Corrupt, match=column.split()[1]), database.transaction() as tx:
        tx.execute(f"CREATE TABLE odd ({column})")
        tx.execute(f"INSERT INTO odd VALUES ({stored})")
        tx.query("SELECT * FROM odd")


def test_a_database_in_memory_is_gone_when_it_is_closed() -> None:
    first, second = memory.open(DatabaseSettings()), memory.open(DatabaseSettings())
    with first.transaction() as tx:
        tx.execute("CREATE TABLE notes (id BIGINT)")
    with pytest.raises(Invalid, match="no such table"):
        _notes(second)
    path = Path(first.url.removeprefix("sqlite:///"))
    assert path.exists()
    first.close()
    second.close()
    assert not path.parent.exists()


# --------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "ISTHMUS_DATABASE_URL"),
        ("no url at all, planted-4711", "postgresql"),
        ("mysql://user@host/planted-4711", "postgresql"),
        ("sqlite://", "file"),
        ("sqlite:///:memory:", "file"),
        ("postgresql://user:planted-4711@host/name", r"database\.password"),
        ("postgresql://user@host/name?password=planted-4711", r"database\.password"),
    ],
)
def test_a_url_that_cannot_be_is_refused_with_the_cure_and_not_quoted(url: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refusal:
        sql.open(DatabaseSettings(url=url))
    assert "planted-4711" not in "".join(traceback.format_exception(refusal.value))


def test_the_url_is_complete_for_libraries_that_need_it_and_repr_hides_the_password() -> None:
    database = sql.open(DatabaseSettings(url="postgresql://user@host:5433/name?sslmode=verify-full", password=SECRET))
    assert database.url == f"postgresql+psycopg://user:{PASSWORD}@host:5433/name?sslmode=verify-full"
    assert database.dialect == "postgresql"
    assert PASSWORD not in repr(database) + str(database) and "host" in repr(database)
