"""What every database promises, one test a promise. Give the class fixtures `database` and `reopen`, run it with pytest.

`reopen()` opens another connection to the same data; it is closed by the fixture.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from adapters.errors import Conflict, Invalid
from adapters.ports import Database

ATTEMPTS = 200


class DatabaseSuite:
    """The promises of `adapters.ports.Database`. Each test makes a table of its own and drops it."""

    @pytest.fixture
    def table(self, database: Database) -> Iterator[str]:
        """A table of accounts, `id` and `balance`, with the rows 1 and 2 of 100 each."""
        name = f"t_{os.urandom(6).hex()}"
        with database.transaction() as tx:
            tx.execute(f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0))")
            tx.execute(f"INSERT INTO {name} VALUES (:id, 100)", [{"id": 1}, {"id": 2}])
        yield name
        with database.transaction() as tx:
            tx.execute(f"DROP TABLE {name}")

    @pytest.fixture
    def values(self, database: Database) -> Iterator[str]:
        """A table with one column of each type that both dialects know."""
        name = f"v_{os.urandom(6).hex()}"
        with database.transaction() as tx:
            tx.execute(
                f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, words TEXT, body BYTEA, flag BOOLEAN, at TIMESTAMPTZ,"
                " ratio DOUBLE PRECISION, count BIGINT)"
            )
        yield name
        with database.transaction() as tx:
            tx.execute(f"DROP TABLE {name}")

    # --------------------------------------------------------------------------------------- commit and roll back

    def test_a_block_that_ends_is_committed(
        self, database: Database, reopen: Callable[[], Database], table: str
    ) -> None:
        with database.transaction() as tx:
            assert tx.execute(f"UPDATE {table} SET balance = 70 WHERE id = 1") == 1
        assert _balances(reopen(), table) == {1: 70, 2: 100}

    def test_a_block_that_raises_is_rolled_back_and_its_error_passes(self, database: Database, table: str) -> None:
        with pytest.raises(ZeroDivisionError), database.transaction() as tx:
            tx.execute(f"UPDATE {table} SET balance = 0")
            raise ZeroDivisionError
        assert _balances(database, table) == {1: 100, 2: 100}

    def test_a_transaction_sees_what_it_wrote_and_others_do_not_before_it_commits(
        self, database: Database, table: str
    ) -> None:
        wrote, seen = threading.Event(), threading.Event()

        def write() -> dict[int, int]:
            with database.transaction() as tx:
                tx.execute(f"UPDATE {table} SET balance = 1 WHERE id = 1")
                own = {row["id"]: row["balance"] for row in tx.query(f"SELECT * FROM {table}")}
                wrote.set()
                seen.wait(0.2)  # a reader that has to queue behind the writer, as on SQLite, shows the same promise
            return own

        with ThreadPoolExecutor(2) as pool:
            writer = pool.submit(write)
            assert wrote.wait(30)
            reader = pool.submit(_balances, database, table)
            reader.add_done_callback(lambda _: seen.set())
            assert writer.result(60) == {1: 1, 2: 100}
            assert reader.result(60) in ({1: 100, 2: 100}, {1: 1, 2: 100})
            assert reader.result()[1] == 1 or database.dialect == "postgresql"

    def test_a_table_made_in_a_block_that_raises_is_not_there(self, database: Database) -> None:
        name = f"t_{os.urandom(6).hex()}"
        with pytest.raises(ZeroDivisionError), database.transaction() as tx:
            tx.execute(f"CREATE TABLE {name} (id BIGINT)")
            raise ZeroDivisionError
        with pytest.raises(Invalid), database.transaction() as tx:
            tx.query(f"SELECT * FROM {name}")

    def test_another_connection_finds_the_data(
        self, database: Database, reopen: Callable[[], Database], table: str
    ) -> None:
        other = reopen()
        with other.transaction() as tx:
            tx.execute(f"INSERT INTO {table} VALUES (3, 5)")
        other.close()
        assert _balances(database, table) == {1: 100, 2: 100, 3: 5}

    # -------------------------------------------------------------------------------------------------- statements

    def test_rows_come_as_column_names_to_values(self, database: Database, table: str) -> None:
        with database.transaction() as tx:
            assert tx.query(f"SELECT id, balance AS amount FROM {table} ORDER BY id") == [
                {"id": 1, "amount": 100},
                {"id": 2, "amount": 100},
            ]
            assert tx.query(f"SELECT * FROM {table} WHERE id = :id", {"id": 99}) == []

    def test_execute_answers_how_many_rows_it_changed(self, database: Database, table: str) -> None:
        with database.transaction() as tx:
            assert tx.execute(f"UPDATE {table} SET balance = balance + 1") == 2
            assert tx.execute(f"DELETE FROM {table} WHERE id = :id", {"id": 99}) == 0
            assert tx.execute(f"INSERT INTO {table} VALUES (:id, 1)", [{"id": n} for n in range(10, 1010)]) == 1000
            assert tx.execute(f"DELETE FROM {table} WHERE id >= :id", {"id": 10}) == 1000

    def test_a_statement_given_no_parameter_sets_runs_no_time(self, database: Database, table: str) -> None:
        with database.transaction() as tx:
            assert tx.execute(f"DELETE FROM {table} WHERE id = :id", []) == 0
        assert len(_balances(database, table)) == 2

    def test_a_statement_returning_rows_may_write(self, database: Database, table: str) -> None:
        with database.transaction() as tx:
            rows = tx.query(f"UPDATE {table} SET balance = balance - :by RETURNING id, balance", {"by": 30})
        assert sorted((row["id"], row["balance"]) for row in rows) == [(1, 70), (2, 70)]
        assert _balances(database, table) == {1: 70, 2: 70}

    @pytest.mark.parametrize(
        "text", ["'; DROP TABLE students; --", "' OR '1'='1", ":id", "%s %(x)s", "\\", '"', "?", "{}", "a::text"]
    )
    def test_a_parameter_is_data_whatever_it_says(self, database: Database, values: str, text: str) -> None:
        with database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, words) VALUES (1, :words), (2, 'other')", {"words": text})
            found = tx.query(f"SELECT words FROM {values} WHERE words = :words", {"words": text})
        assert found == [{"words": text}]

    def test_a_parameter_that_is_missing_is_refused_by_name(self, database: Database, table: str) -> None:
        for parameters in ({}, {"other": 1}):
            with pytest.raises(Invalid, match="'id'"), database.transaction() as tx:
                tx.execute(f"DELETE FROM {table} WHERE id = :id", parameters)
        assert len(_balances(database, table)) == 2

    @pytest.mark.parametrize("statement", ["SELEKT 1", "SELECT * FROM no_such_table_here", "SELECT no_such_column"])
    def test_a_statement_that_cannot_be_is_invalid(self, database: Database, statement: str) -> None:
        with pytest.raises(Invalid), database.transaction() as tx:
            tx.query(statement)

    # ------------------------------------------------------------------------------------------------------ values

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("words", "Grüße, 世界 🗝 'quoted' \"twice\"\n\ttab"),
            ("words", ""),
            ("words", "2026-01-02T03:04:05.000006+00:00"),
            ("words", None),
            ("body", bytes(range(256))),
            ("body", b""),
            ("body", b"\x00" * (1 << 20)),
            ("body", None),
            ("flag", True),
            ("flag", False),
            ("flag", None),
            ("at", datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)),
            ("at", datetime(1970, 1, 1, tzinfo=UTC)),
            ("at", None),
            ("ratio", 0.1),
            ("ratio", -1e300),
            ("count", (1 << 63) - 1),
            ("count", -(1 << 63)),
        ],
        ids=lambda value: value if isinstance(value, str) and value.isalpha() else type(value).__name__,
    )
    def test_a_value_comes_back_equal_and_of_its_type(
        self, database: Database, values: str, column: str, value: Any
    ) -> None:
        with database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, {column}) VALUES (1, :value)", {"value": value})
        with database.transaction() as tx:
            [row] = tx.query(f"SELECT {column} FROM {values}")
        assert row == {column: value}
        assert type(row[column]) is type(value)

    def test_a_time_of_any_zone_comes_back_in_utc(self, database: Database, values: str) -> None:
        here = datetime(2026, 7, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        with database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, at) VALUES (1, :at)", {"at": here})
            [row] = tx.query(f"SELECT at FROM {values}")
        assert row["at"] == here
        assert row["at"].utcoffset() == timedelta(0)
        assert row["at"].isoformat() == "2026-07-01T06:30:00.000005+00:00"

    def test_times_compare_as_times(self, database: Database, values: str) -> None:
        early = datetime(2026, 1, 1, 12, tzinfo=UTC)
        late = datetime(2026, 1, 1, 7, 0, 0, 1, tzinfo=timezone(timedelta(hours=-5)))
        with database.transaction() as tx:
            tx.execute(
                f"INSERT INTO {values} (id, at) VALUES (:id, :at)", [{"id": 1, "at": late}, {"id": 2, "at": early}]
            )
            assert [row["id"] for row in tx.query(f"SELECT id FROM {values} ORDER BY at")] == [2, 1]
            assert tx.query(f"SELECT id FROM {values} WHERE at > :at", {"at": early}) == [{"id": 1}]

    def test_a_time_without_a_zone_is_refused_by_name(self, database: Database, values: str) -> None:
        with pytest.raises(Invalid, match=":at"), database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, at) VALUES (1, :at)", {"at": datetime(2026, 1, 1)})

    def test_a_number_past_64_bits_is_refused(self, database: Database, values: str) -> None:
        with pytest.raises(Invalid), database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, count) VALUES (1, :count)", {"count": 1 << 63})

    # ------------------------------------------------------------------------------------------------- constraints

    def test_a_broken_constraint_is_a_conflict_and_leaves_nothing(self, database: Database, table: str) -> None:
        broken = {
            "unique": f"INSERT INTO {table} VALUES (1, 5)",
            "check": f"UPDATE {table} SET balance = -1 WHERE id = 2",
            "not null": f"INSERT INTO {table} (id) VALUES (9)",
        }
        for statement in broken.values():
            with pytest.raises(Conflict), database.transaction() as tx:
                tx.execute(f"UPDATE {table} SET balance = 7 WHERE id = 1")
                tx.execute(statement)
        assert _balances(database, table) == {1: 100, 2: 100}

    def test_foreign_keys_are_enforced(self, database: Database, table: str) -> None:
        child = f"c_{os.urandom(6).hex()}"
        with database.transaction() as tx:
            tx.execute(f"CREATE TABLE {child} (account BIGINT REFERENCES {table} (id))")
        with pytest.raises(Conflict), database.transaction() as tx:
            tx.execute(f"INSERT INTO {child} VALUES (99)")
        with database.transaction() as tx:
            tx.execute(f"DROP TABLE {child}")

    def test_an_error_quotes_no_stored_value(self, database: Database, values: str) -> None:
        with database.transaction() as tx:
            tx.execute(f"CREATE UNIQUE INDEX i_{values} ON {values} (words)")
            tx.execute(f"INSERT INTO {values} (id, words) VALUES (1, 'planted-4711')")
        with pytest.raises(Conflict) as refusal, database.transaction() as tx:
            tx.execute(f"INSERT INTO {values} (id, words) VALUES (2, :words)", {"words": "planted-4711"})
        assert "planted-4711" not in str(refusal.value)

    def test_an_error_swallowed_inside_the_block_commits_nothing_and_says_so(
        self, database: Database, table: str
    ) -> None:
        with pytest.raises(Invalid, match="committed"), database.transaction() as tx:
            tx.execute(f"UPDATE {table} SET balance = 7 WHERE id = 1")
            with pytest.raises(Conflict):
                tx.execute(f"INSERT INTO {table} VALUES (1, 5)")
            with pytest.raises(Invalid):
                tx.query(f"SELECT * FROM {table}")
        assert _balances(database, table) == {1: 100, 2: 100}

    # ------------------------------------------------------------------------------------------------- concurrency

    def test_no_update_is_lost(self, database: Database, table: str) -> None:
        rounds, workers = 15, 4

        def add() -> None:
            for _ in range(rounds):
                _again(lambda: _read_then_write(database, table))

        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(add) for _ in range(workers)]:
                future.result(120)
        assert _balances(database, table)[1] == 100 + rounds * workers

    def test_two_that_read_what_the_other_writes_do_not_both_commit_on_old_reads(
        self, database: Database, table: str
    ) -> None:
        """Write skew: each empties its account if both together hold enough, which then can be true only once."""
        ready = threading.Barrier(2)

        def withdraw(account: int) -> None:
            with database.transaction() as tx:
                if database.dialect == "postgresql":
                    ready.wait(
                        30
                    )  # so that both have begun; on SQLite the second cannot begin before the first is done
                total = sum(row["balance"] for row in tx.query(f"SELECT balance FROM {table}"))
                if total >= 200:
                    tx.execute(f"UPDATE {table} SET balance = 0 WHERE id = :id", {"id": account})

        with ThreadPoolExecutor(2) as pool:
            outcomes = [future.exception(60) for future in [pool.submit(withdraw, account) for account in (1, 2)]]
        assert sorted(_balances(database, table).values()) == [0, 100]
        assert all(error is None or isinstance(error, Conflict) for error in outcomes)

    def test_a_reader_sees_all_of_a_transaction_or_none(self, database: Database, table: str) -> None:
        done = threading.Event()

        def move() -> None:
            try:
                for amount in (1, -1) * 15:
                    _again(lambda amount=amount: _transfer(database, table, amount))
            finally:
                done.set()

        with ThreadPoolExecutor(1) as pool:
            mover = pool.submit(move)
            reads = 0
            while not done.is_set() or not reads:
                assert sum(_again(lambda: _balances(database, table)).values()) == 200
                reads += 1
            mover.result(60)

    # ------------------------------------------------------------------------------------------------- wrong use

    def test_a_transaction_inside_another_is_refused_at_once(self, database: Database, table: str) -> None:
        with pytest.raises(Invalid, match="inside a transaction"), database.transaction() as outer:
            outer.execute(f"UPDATE {table} SET balance = 7")
            with database.transaction():
                pytest.fail("the inner block ran")
        assert _balances(database, table) == {1: 100, 2: 100}

    def test_a_transaction_is_of_no_use_after_its_block(self, database: Database, table: str) -> None:
        with database.transaction() as tx:
            pass
        with pytest.raises(Invalid, match="ended"):
            tx.query(f"SELECT * FROM {table}")

    def test_rows_cannot_be_read_from_a_statement_without_rows(self, database: Database, table: str) -> None:
        with pytest.raises(Invalid), database.transaction() as tx:
            tx.query(f"DELETE FROM {table}")
        assert len(_balances(database, table)) == 2


def _balances(database: Database, table: str) -> dict[int, int]:
    with database.transaction() as tx:
        return {row["id"]: row["balance"] for row in tx.query(f"SELECT id, balance FROM {table}")}


def _read_then_write(database: Database, table: str) -> None:
    with database.transaction() as tx:
        [row] = tx.query(f"SELECT balance FROM {table} WHERE id = 1")
        tx.execute(f"UPDATE {table} SET balance = :balance WHERE id = 1", {"balance": row["balance"] + 1})


def _transfer(database: Database, table: str, amount: int) -> None:
    with database.transaction() as tx:
        tx.execute(f"UPDATE {table} SET balance = balance - :amount WHERE id = 1", {"amount": amount})
        tx.execute(f"UPDATE {table} SET balance = balance + :amount WHERE id = 2", {"amount": amount})


def _again(work: Callable[[], Any]) -> Any:
    """Run a transaction as the port says: again after each Conflict."""
    for _ in range(ATTEMPTS):
        try:
            return work()
        except Conflict:
            continue
    raise AssertionError(f"{ATTEMPTS} conflicts in a row")
