"""What Redis does when it is away, slow, full, strict or moving, as the port promises it: real servers, real faults."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis, exceptions

from adapters.conformance.key_value_scripts import TOKEN_BUCKET
from adapters.drivers.key_value import redis as driver
from adapters.drivers.key_value.redis import RedisKeyValue
from adapters.errors import DeadlineExceeded, Denied, Invalid, Transient
from adapters.settings import KeyValueSettings, Secret
from tests.deadline import until
from tests.redis_server import RedisServer, redis_cluster, redis_server
from tests.servers import free_ports
from tests.tls_front import tls_front

PASSWORD = "planted-4711-password"


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """For tests that leave it as they found it."""
    with redis_server() as running:
        yield running


@contextmanager
def opened(server: RedisServer | None = None, **fields: object) -> Iterator[RedisKeyValue]:
    """A store on this server, closed with the block."""
    if server is not None:
        fields = {"host": server.host, "port": server.port, **fields}
    store = driver.open(KeyValueSettings(**fields))  # type: ignore[arg-type]
    yield store
    store.close()


# ------------------------------------------------------------------------------------------------------- away and slow


def test_a_server_that_is_away_is_transient_with_the_cure() -> None:
    with opened(host="127.0.0.1", port=free_ports(1)[0]) as store, pytest.raises(Transient, match=r"key_value\.host"):
        store.get("k")


def test_a_server_that_was_restarted_is_used_again_without_an_error_and_with_its_scripts() -> None:
    arguments = (10, 1, 0, 1)
    with redis_server() as first, opened(first) as store:
        assert store.run(TOKEN_BUCKET, keys=["k"], args=arguments) == 9
        first.process.kill()
        first.process.wait(10)
        with pytest.raises(Transient):
            store.get("k")
        with redis_server(port=first.port):
            assert store.run(TOKEN_BUCKET, keys=["k"], args=arguments) == 9


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unnoticed(shared: RedisServer) -> None:
    with opened(shared) as store, shared.client() as client:
        store.set("k", b"1")
        client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        assert store.increment("k") == 2


def test_flushed_scripts_are_loaded_again(shared: RedisServer) -> None:
    with opened(shared) as store, shared.client() as client:
        for left in (9, 8):
            assert store.run(TOKEN_BUCKET, keys=["flushed"], args=(10, 1, 0, 1)) == left
            client.script_flush()


def test_a_server_that_does_not_answer_in_time_ends_in_deadline_exceeded() -> None:
    with redis_server() as server, opened(server, timeout_seconds=0.3) as store:
        store.set("k", b"1")
        server.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="not known"):
                store.increment("k")
            assert time.monotonic() - began < 1.0
        finally:
            server.process.send_signal(signal.SIGCONT)
        # The late answer of the first call must not be taken for the answer to the next.
        assert store.get("k") in (b"1", b"2")


@pytest.mark.parametrize(
    ("setting", "value", "restored"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0"), ("replicaof", "127.0.0.1 1", "no one")],
    ids=["out of memory", "too few replicas", "a replica"],
)
def test_a_server_that_cannot_take_writes_now_is_transient(
    shared: RedisServer, setting: str, value: str, restored: str
) -> None:
    with opened(shared) as store, shared.client() as client:

        def configure(to: str) -> None:
            command = ("REPLICAOF", *to.split()) if setting == "replicaof" else ("CONFIG", "SET", setting, to)
            client.execute_command(*command)

        configure(value)
        try:
            for write in (
                lambda: store.set("k", b"x"),
                lambda: store.compare_and_set("new", expected=None, value=b"x"),
            ):
                with pytest.raises(Transient):
                    write()
        finally:
            configure(restored)
        store.set("k", b"x")


# ----------------------------------------------------------------------------------------------------- other types


def test_a_key_of_another_type_is_invalid_and_stays(shared: RedisServer) -> None:
    with opened(shared) as store, shared.client() as client:
        client.rpush("list", "x")
        for call in (
            lambda: store.get("list"),
            lambda: store.increment("list"),
            lambda: store.compare_and_set("list", expected=b"x", value=b"y"),
        ):
            with pytest.raises(Invalid, match="type") as refusal:
                call()
            assert refusal.value.name == "list"
        assert client.lrange("list", 0, -1) == [b"x"]


# ------------------------------------------------------------------------------------------------- who may do what


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD) as running:
        yield running


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TEST_REDIS_PASSWORD", PASSWORD)
    monkeypatch.setenv("TEST_REDIS_WRONG", PASSWORD + "-wrong")
    monkeypatch.setenv("TEST_REDIS_READER", "reader")
    return monkeypatch


def test_a_wrong_or_missing_password_is_denied_and_not_shown(guarded: RedisServer, login: pytest.MonkeyPatch) -> None:
    for fields in ({"password": Secret("env:TEST_REDIS_WRONG")}, {}):
        with opened(guarded, **fields) as store:
            with pytest.raises(Denied, match=r"key_value\.password") as refusal:
                store.get("k")
            assert PASSWORD not in "".join(traceback.format_exception(refusal.value)) + repr(store)


def test_a_user_gets_what_the_acl_allows_and_no_more(guarded: RedisServer, login: pytest.MonkeyPatch) -> None:
    with guarded.client(password=PASSWORD) as client:
        client.execute_command("ACL SETUSER reader on >" + PASSWORD + " ~mine:* +get +hello +ping +scan")
        client.set("mine:k", "1")
    user = {"username": Secret("env:TEST_REDIS_READER"), "password": Secret("env:TEST_REDIS_PASSWORD")}
    with opened(guarded, prefix="mine:", **user) as store:
        assert store.get("k") == b"1"
        with pytest.raises(Denied, match="ACL"):
            store.set("k", b"2")
    with opened(guarded, prefix="other:", **user) as store, pytest.raises(Denied, match="ACL"):
        store.get("k")


# ------------------------------------------------------------------------------------------------------------- TLS


def test_tls_trusts_the_authority_of_the_settings_and_no_other(shared: RedisServer, tmp_path: Path) -> None:
    with tls_front(shared.port, tmp_path) as front:
        with opened(host="127.0.0.1", port=front.port, tls=True, ca_file=str(front.ca_file)) as store:
            store.set("over-tls", b"x")
            assert store.get("over-tls") == b"x"
        with opened(host="127.0.0.1", port=front.port, tls=True) as store, pytest.raises(Denied, match="ca_file"):
            store.get("over-tls")


def test_tls_checks_the_name_of_the_server(shared: RedisServer, tmp_path: Path) -> None:
    with (
        tls_front(shared.port, tmp_path) as front,
        opened(host="localhost", port=front.port, tls=True, ca_file=str(front.ca_file)) as store,
        pytest.raises(Denied, match="certificate"),
    ):
        store.get("k")


# ---------------------------------------------------------------------------------------------------------- cluster


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    with redis_cluster() as running:
        yield running


def test_keys_are_spread_over_all_nodes(nodes: list[RedisServer]) -> None:
    with opened(nodes[0], cluster=True) as store:
        store.set_many({f"spread-{index}": b"x" for index in range(100)})
    sizes = []
    for node in nodes:
        with node.client() as client:
            sizes.append(client.dbsize())
    assert min(sizes) > 10 and sum(sizes) >= 100


def test_a_slot_that_moved_is_followed(nodes: list[RedisServer]) -> None:
    with opened(nodes[0], cluster=True) as store:
        store.set("before", b"x")
        clients = [node.client(decode_responses=True) for node in nodes]
        slot = clients[0].execute_command("CLUSTER KEYSLOT", "{moved}")
        ids = [client.execute_command("CLUSTER MYID") for client in clients]
        [owner] = [index for index, node in enumerate(nodes) if _owns(node, "{moved}")]
        target = ids[(owner + 1) % len(ids)]
        for client in (clients[ids.index(target)], *clients):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", target)
        store.set_many({"{moved}1": b"1", "{moved}2": b"2"})
        assert store.get_many(["{moved}1", "before", "{moved}2"]) == [b"1", b"x", b"2"]
        assert store.run(TOKEN_BUCKET, keys=["{moved}bucket"], args=(10, 1, 0, 1)) == 9
        for client in clients:
            client.close()


def _owns(node: RedisServer, key: str) -> bool:
    with node.client() as client:
        try:
            client.get(key)
        except exceptions.MovedError:
            return False
        return True


def test_a_node_that_died_is_transient_for_its_keys_and_in_bounded_time() -> None:
    with redis_cluster() as servers, opened(servers[0], cluster=True, timeout_seconds=0.5) as store:
        keys = [f"k{index}" for index in range(40)]
        store.set_many(dict.fromkeys(keys, b"x"))
        servers[1].process.kill()
        servers[1].process.wait(10)
        outcomes = set()
        began = time.monotonic()
        for key in keys:
            try:
                outcomes.add(store.get(key))
            except Transient:
                outcomes.add("transient")
        assert outcomes == {b"x", "transient"}
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", ["shared", "nodes"])
def test_a_write_whose_connection_is_lost_is_not_sent_again(kind: str, request: pytest.FixtureRequest) -> None:
    servers = request.getfixturevalue(kind)
    servers = servers if isinstance(servers, list) else [servers]
    [owner] = [server for server in servers if _owns(server, "counter")]
    clustered = len(servers) > 1
    with opened(owner, cluster=clustered) as store, owner.client() as client, ThreadPoolExecutor(1) as pool:
        store.set("counter", b"0")
        client.execute_command("CLIENT PAUSE 10000 WRITE")
        try:
            lost = pool.submit(store.increment, "counter")
            [waiting] = until(lambda: _waiting(client, "incrby"), what="the write to reach the server")
            client.client_kill_filter(_id=waiting)
            with pytest.raises(Transient):
                lost.result(10)
        finally:
            client.execute_command("CLIENT UNPAUSE")
        assert store.get("counter") == b"0"


def _waiting(client: Redis, command: str) -> list[str]:
    """The ids of the connections whose command the paused server holds back."""
    return [entry["id"] for entry in client.client_list() if entry["cmd"] == command]


def test_a_single_server_taken_for_a_cluster_is_refused_with_the_cure(shared: RedisServer) -> None:
    with pytest.raises(Invalid, match=r"key_value\.cluster"), opened(shared, cluster=True):
        pytest.fail("it was opened")


def test_a_cluster_that_is_away_is_transient() -> None:
    with pytest.raises(Transient), opened(host="127.0.0.1", port=free_ports(1)[0], cluster=True):
        pytest.fail("it was opened")


# --------------------------------------------------------------------------------------------------------- settings


def test_settings_that_cannot_be_are_refused_with_the_cure() -> None:
    with pytest.raises(Invalid, match="ISTHMUS_KEY_VALUE_HOST"):
        driver.open(KeyValueSettings())
    with pytest.raises(Invalid, match="braces"):
        driver.open(KeyValueSettings(host="127.0.0.1", prefix="{env}:"))
