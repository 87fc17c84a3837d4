"""Every key-value driver against the one suite, on real servers: one, one with a password, and a cluster of three."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.conformance.key_value import KeyValueSuite
from adapters.drivers.key_value import memory
from adapters.drivers.key_value import redis as driver
from adapters.drivers.key_value.redis import RedisKeyValue
from adapters.ports import KeyValue
from adapters.settings import KeyValueSettings, Secret
from tests.redis_server import redis_cluster, redis_server

PASSWORD = "correct-horse-battery"
PREFIX = "team[a]*:"


@pytest.fixture(scope="module")
def single() -> Iterator[RedisKeyValue]:
    with redis_server() as server:
        store = driver.open(KeyValueSettings(host=server.host, port=server.port))
        yield store
        store.close()


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisKeyValue]:
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text(PASSWORD + "\n")
    with redis_server(password=PASSWORD) as server:
        password = Secret(f"file:{secret}")
        store = driver.open(KeyValueSettings(host=server.host, port=server.port, password=password, prefix=PREFIX))
        yield store
        store.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisKeyValue]:
    with redis_cluster() as servers:
        store = driver.open(KeyValueSettings(host=servers[0].host, port=servers[0].port, cluster=True, prefix="x:"))
        yield store
        store.close()


class TestMemory(KeyValueSuite):
    @pytest.fixture
    def key_value(self) -> KeyValue:
        return memory.open(KeyValueSettings())


class TestRedis(KeyValueSuite):
    @pytest.fixture
    def key_value(self, single: RedisKeyValue) -> KeyValue:
        return single


class TestRedisWithPasswordAndPrefix(KeyValueSuite):
    @pytest.fixture
    def key_value(self, protected: RedisKeyValue) -> KeyValue:
        return protected


class TestRedisCluster(KeyValueSuite):
    @pytest.fixture
    def key_value(self, cluster: RedisKeyValue) -> KeyValue:
        return cluster
