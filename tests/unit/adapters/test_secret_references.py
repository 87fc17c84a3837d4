"""`secret:NAME` in settings is the secret manager's, asked when it is needed and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import connect
from adapters.drivers.database.sql import SqlDatabase
from adapters.errors import Invalid, NotFound
from adapters.settings import DatabaseSettings, Secret, SecretsSettings, Settings, bound, reveal

CANARY = "planted-4711"


def _settings(folder: Path, reference: str = "secret:db-password") -> Settings:
    database = DatabaseSettings(url="postgresql://user@host/name", password=Secret(reference))
    return Settings(cloud="local", database=database, secrets=SecretsSettings(folder=str(folder)))


def test_a_port_gets_the_value_behind_a_secret_of_the_manager(tmp_path: Path) -> None:
    (tmp_path / "db-password").write_text(CANARY)
    (tmp_path / "db-password").chmod(0o600)
    settings = _settings(tmp_path)
    with connect(settings) as platform:
        assert isinstance(platform.database, SqlDatabase)
        assert platform.database.url == f"postgresql+psycopg://user:{CANARY}@host/name"
        assert platform.settings == settings
        assert CANARY not in repr(platform.settings) + repr(platform._bound)


def test_a_secret_that_is_absent_is_not_found_by_name_when_the_port_is_used(tmp_path: Path) -> None:
    with connect(_settings(tmp_path)) as platform, pytest.raises(NotFound, match="db-password"):
        platform.database  # noqa: B018


def test_a_rotated_secret_is_seen_the_next_time() -> None:
    values = iter(["old", "new"])
    settings = bound(_settings(Path()), lambda name: next(values))
    assert [reveal(settings.database.password), reveal(settings.database.password)] == ["old", "new"]


def test_a_reference_that_is_not_bound_is_refused_without_being_quoted() -> None:
    with pytest.raises(Invalid) as refusal:
        reveal(Secret("secret:db-password"))
    assert "db-password" not in str(refusal.value)
