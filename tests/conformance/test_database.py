"""Every database against the one suite: SQLite on a file, the in-process one, and a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from adapters.conformance.database import DatabaseSuite
from adapters.drivers.database import memory, sql
from adapters.ports import Database
from adapters.settings import DatabaseSettings, Secret
from tests.postgres_server import PASSWORD, PostgresServer, postgres_server

Reopen = Callable[[], Database]


@pytest.fixture
def closing_later() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestSqlite(DatabaseSuite):
    @pytest.fixture
    def reopen(self, tmp_path: Path, closing_later: ExitStack) -> Reopen:
        section = DatabaseSettings(url=f"sqlite:///{tmp_path}/data/test.db")
        return lambda: closing_later.enter_context(closing(sql.open(section)))

    @pytest.fixture
    def database(self, reopen: Reopen) -> Database:
        return reopen()


class TestMemory(DatabaseSuite):
    @pytest.fixture
    def database(self) -> Iterator[Database]:
        with closing(memory.open(DatabaseSettings())) as database:
            yield database

    @pytest.fixture
    def reopen(self, database: Database, closing_later: ExitStack) -> Reopen:
        return lambda: closing_later.enter_context(closing(sql.open(DatabaseSettings(url=database.url))))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def section(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> DatabaseSettings:
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text(PASSWORD)
    return DatabaseSettings(url=server.url, password=Secret(f"file:{secret}"))


@pytest.fixture(scope="module")
def postgresql(section: DatabaseSettings) -> Iterator[Database]:
    with closing(sql.open(section)) as database:
        yield database


class TestPostgresql(DatabaseSuite):
    @pytest.fixture
    def database(self, postgresql: Database) -> Database:
        return postgresql

    @pytest.fixture
    def reopen(self, section: DatabaseSettings, closing_later: ExitStack) -> Reopen:
        return lambda: closing_later.enter_context(closing(sql.open(section)))
