"""docs/ports.md shows what works: its examples are run in order, on the ports that need no server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.drivers.database import memory as database
from adapters.drivers.key_value import memory as key_value
from adapters.drivers.key_value import redis
from adapters.drivers.launcher import memory as launcher
from adapters.drivers.secrets import memory as secrets
from adapters.ports import Script, TaskState
from adapters.settings import DatabaseSettings, KeyValueSettings, LauncherSettings, SecretsSettings
from tests.deadline import until
from tests.redis_server import redis_server

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def platform() -> Iterator[SimpleNamespace]:
    ports = SimpleNamespace(
        key_value=key_value.open(KeyValueSettings()),
        secrets=secrets.open(SecretsSettings()),
        database=database.open(DatabaseSettings()),
        launcher=launcher.open(LauncherSettings()),
    )
    ports.secrets.put("db-password", "planted")
    yield ports
    ports.launcher.close()
    ports.database.close()


def test_the_examples_of_the_page_do_what_it_says(platform: SimpleNamespace) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "ports.md").read_text())
    assert len(blocks) == 7
    names = {"platform": platform, "__name__": "page"}
    for block in blocks[1:]:  # the first one connects, which takes a platform that is up
        exec(compile(block, "docs/ports.md", "exec"), names)
    store = platform.key_value
    assert store.get("greeting") == b"hello"
    assert store.get_many(["{user:7}name", "quota:team-a", "owner"]) == [b"Ada", b"99", b"worker-1"]
    _assert_real_redis_agrees(names["TAKE"])
    [row] = names["rows"]  # type: ignore[misc]
    assert row["paid"] is True  # type: ignore[index]
    final = until(lambda: _final(platform), what="the task of the page")
    assert final in (TaskState.SUCCEEDED, TaskState.STOPPED)


def _assert_real_redis_agrees(script: object) -> None:
    assert isinstance(script, Script)
    with redis_server() as server:
        real = redis.open(KeyValueSettings(host=server.host, port=server.port))
        assert [real.run(script, keys=["quota"], args=[2]) for _ in range(3)] == [1, 0, -1]
        real.close()


def _final(platform: SimpleNamespace) -> TaskState | None:
    state = platform.launcher.status("report-2026-11").state
    return state if state in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED) else None
