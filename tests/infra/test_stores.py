"""Buckets and topics on the real servers, asked of their handlers without an engine in between."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from confluent_kafka import Producer

from infra.providers.base import Call, ProviderError, Resource, State
from infra.providers.inputs import parse
from infra.providers.local import launch, places
from infra.providers.local.broker import Broker
from infra.providers.local.bucket import Bucket
from infra.providers.local.places import Place
from infra.providers.local.spec import ProcessInputs
from infra.providers.local.stores import open_store
from infra.providers.local.topic import Topic
from tests.deadline import until

IDENTITIES = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": "{secret.access_key}", "secretKey": "{secret.secret_key}"}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
}
SEAWEEDFS_PORTS = ["master", "volume", "filer", "s3", "admin"]
SEAWEEDFS: dict[str, Any] = {
    "program": "seaweedfs",
    "args": [
        "mini",
        "-dir={data}",
        "-ip={host}",
        "-ip.bind={host}",
        "-s3.config={file.s3.json}",
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        *(f"-{name}.port={{port.{name}}}" for name in SEAWEEDFS_PORTS),
        *(f"-{name}.port.grpc={{port.{name}_grpc}}" for name in SEAWEEDFS_PORTS),
    ],
    "ports": dict.fromkeys([*SEAWEEDFS_PORTS, *(f"{name}_grpc" for name in SEAWEEDFS_PORTS)], 0),
    "secrets": ["access_key", "secret_key"],
    "files": {"s3.json": json.dumps(IDENTITIES)},
    # Its own health pages answer before it takes objects: for up to 20 s after a kill. This one asks for a place for one.
    "ready": [
        {"kind": "http", "port": "master", "path": "/dir/assign"},
        {"kind": "http", "port": "s3", "path": "/healthz"},
    ],
}
FAKE_GCS: dict[str, Any] = {
    "program": "fake-gcs-server",
    "args": [
        *("-scheme=http", "-host={host}", "-port={port.gcs}", "-public-host={host}:{port.gcs}"),
        # Its backend on disk keeps no old versions.
        "-backend=memory",
    ],
    "ports": {"gcs": 0},
    "ready": [{"kind": "http", "port": "gcs", "path": "/storage/v1/b?project=local"}],
}
SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{port.controller}
listeners=PLAINTEXT://{host}:{port.broker},CONTROLLER://{host}:{port.controller}
controller.listener.names=CONTROLLER
log.dirs={data}/log
offsets.topic.replication.factor=1
auto.create.topics.enable=false
"""
JAVA = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
KAFKA: dict[str, Any] = {
    "program": "kafka",
    "args": [*JAVA, "kafka.Kafka", "{file.server.properties}"],
    "ports": {"broker": 0, "controller": 0},
    "files": {"server.properties": SERVER_PROPERTIES},
    "setup": [
        [*JAVA, "kafka.tools.StorageTool", "format", "-t", "aXN0aG11cy1sb2NhbC0wMQ", "-c", "{file.server.properties}"]
    ],
    "ready": [{"kind": "tcp", "port": "broker"}],
    "stop": {"signal": "TERM", "grace_seconds": 5.0},
}


@dataclass
class Said(Call):
    """A call that remembers what was said to the person."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = lambda severity, message: self.said.append((severity, message))


def call(kind: str, name: str = "it") -> Said:
    return Said(f"urn:pulumi:test::stores::isthmus:local:{kind}::{name}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_HOME", str(folder))
        yield folder


def server(name: str, inputs: dict[str, Any]) -> Iterator[tuple[Place, dict[str, int]]]:
    asked = call("Process", name)
    place = Place.of(places.identifier(asked.urn, asked.stack, name))
    record = launch.bring_up(place, parse(ProcessInputs, inputs), asked, {})
    yield place, record.ports
    launch.take_down(place, asked, keep_data=False)


@pytest.fixture(scope="module")
def s3(home: Path) -> Iterator[dict[str, Any]]:
    for place, ports in server("s3", SEAWEEDFS):
        keys = {f"{name}_file": str(place.secret(name)) for name in ("access_key", "secret_key")}
        yield {"kind": "s3", "endpoint": f"http://127.0.0.1:{ports['s3']}", **keys}


@pytest.fixture(scope="module")
def gcs(home: Path) -> Iterator[dict[str, Any]]:
    for _, ports in server("gcs", FAKE_GCS):
        yield {"kind": "gcs", "endpoint": f"http://127.0.0.1:{ports['gcs']}"}


@pytest.fixture(params=["s3", "gcs"])
def store(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def bootstrap(home: Path) -> Iterator[str]:
    for _, ports in server("kafka", KAFKA):
        yield f"127.0.0.1:{ports['broker']}"


def made(resource: Resource, kind: str, inputs: dict[str, Any]) -> State:
    """The resource after check and create, as the engine goes about it."""
    checked = resource.check(call(kind), {}, inputs)
    assert checked.failures == []
    return resource.create(call(kind), checked.inputs)


def put(store: dict[str, Any], bucket: str) -> None:
    """Put one object into a bucket, past the handler."""
    if store["kind"] == "gcs":
        url = f"{store['endpoint']}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=thing"
        urllib.request.urlopen(urllib.request.Request(url, data=b"x", method="POST"), timeout=5).close()
        return
    keys = [Path(store[f"{name}_file"]).read_text() for name in ("access_key", "secret_key")]
    client = boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )
    client.put_object(Bucket=bucket, Key="thing", Body=b"x")


def exists(store: dict[str, Any], bucket: str) -> bool:
    opened = open_store(
        store["kind"], store["endpoint"], store.get("access_key_file", ""), store.get("secret_key_file", "")
    )
    return opened.versioning(bucket) is not None


def test_a_bucket_is_made_and_one_that_is_there_is_taken_over(store: dict[str, Any]) -> None:
    first = made(Bucket(), "Bucket", {**store, "name": "twice", "versioning": True})
    again = made(Bucket(), "Bucket", {**store, "name": "twice", "versioning": True})
    assert first == again and first.outputs["versioning"] is True
    assert Bucket().read(call("Bucket"), first) == first


def test_a_bucket_changed_behind_our_back_is_seen_and_put_right(store: dict[str, Any]) -> None:
    state = made(Bucket(), "Bucket", {**store, "name": "drifting", "versioning": True})
    Bucket().create(call("Bucket"), {**state.inputs, "versioning": False})
    seen = Bucket().read(call("Bucket"), state)
    assert seen is not None and seen.outputs["versioning"] is False
    assert [change.path for change in Bucket().diff(call("Bucket"), seen, seen.inputs).changes] == [("versioning",)]
    assert Bucket().update(call("Bucket"), seen, seen.inputs)["versioning"] is True


def test_a_bucket_that_holds_objects_stays_unless_it_is_forced(store: dict[str, Any]) -> None:
    state = made(Bucket(), "Bucket", {**store, "name": "full"})
    put(store, "full")
    asked = call("Bucket")
    Bucket().delete(asked, state)
    assert exists(store, "full") and asked.said[0][0] == "warning" and "'full' holds objects" in asked.said[0][1]
    Bucket().delete(asked, made(Bucket(), "Bucket", {**store, "name": "full", "force": True}))
    assert not exists(store, "full")
    Bucket().delete(asked, state)


def test_an_empty_bucket_is_removed_and_refresh_sees_that_it_is_gone(store: dict[str, Any]) -> None:
    state = made(Bucket(), "Bucket", {**store, "name": "empty"})
    Bucket().delete(call("Bucket"), state)
    assert not exists(store, "empty")
    assert Bucket().read(call("Bucket"), state) is None


def test_a_bucket_of_a_server_that_is_down_stays_as_it_was_and_does_not_stop_a_destroy(store: dict[str, Any]) -> None:
    state = made(Bucket(), "Bucket", {**store, "name": "kept"})
    # Nothing listens on port 9 of the loopback address.
    down = State(state.id, {**state.inputs, "endpoint": "http://127.0.0.1:9"}, state.outputs)
    assert Bucket().read(call("Bucket"), down) == down
    asked = call("Bucket")
    Bucket().delete(asked, down)
    assert "stays in its server's data" in asked.said[0][1]
    with pytest.raises(ProviderError, match=r"nothing answers at http://127\.0\.0\.1:9"):
        Bucket().update(call("Bucket"), down, down.inputs)


def test_a_wrong_key_is_told_with_the_servers_reason(s3: dict[str, Any], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    inputs = {**s3, "name": "refused", "secret_key_file": str(wrong)}
    with pytest.raises(ProviderError, match=f"{s3['endpoint']} would not .* bucket 'refused': "):
        made(Bucket(), "Bucket", inputs)
    with pytest.raises(ProviderError, match="secret_key_file '/nowhere' cannot be read"):
        made(Bucket(), "Bucket", {**inputs, "secret_key_file": "/nowhere"})


def test_wrong_bucket_inputs_are_refused_by_name() -> None:
    failures = Bucket().check(call("Bucket"), {}, {"kind": "s3", "endpoint": "here", "name": "A"}).failures
    assert {failed.property for failed in failures} == {"endpoint", "name"}
    failures = Bucket().check(call("Bucket"), {}, {"kind": "s3", "endpoint": "http://h", "name": "abc"}).failures
    assert {failed.property for failed in failures} == {"access_key_file", "secret_key_file"}


def test_a_topic_is_made_taken_over_and_grown(bootstrap: str) -> None:
    inputs = {"bootstrap": bootstrap, "name": "events", "partitions": 2, "config": {"retention.ms": "60000"}}
    state = made(Topic(), "Topic", inputs)
    assert made(Topic(), "Topic", inputs) == state
    grown = Topic().update(call("Topic"), state, {**state.inputs, "partitions": 3})
    assert grown["partitions"] == 3 == Broker(bootstrap).partitions("events")
    assert Broker(bootstrap).config("events")["retention.ms"] == "60000"


def test_a_topic_cannot_shrink_and_that_is_told_before_anything_happens(bootstrap: str) -> None:
    olds = {"bootstrap": bootstrap, "name": "events", "partitions": 3}
    failures = Topic().check(call("Topic"), olds, {**olds, "partitions": 2}).failures
    assert [(failed.property, failed.reason[:13]) for failed in failures] == [("partitions", "can only grow")]
    assert Topic().check(call("Topic"), olds, {**olds, "name": "other", "partitions": 2}).failures == []


def test_a_topics_settings_changed_behind_our_back_are_seen_and_put_right(bootstrap: str) -> None:
    state = made(Topic(), "Topic", {"bootstrap": bootstrap, "name": "set", "config": {"retention.ms": "60000"}})
    assert Topic().read(call("Topic"), state) == state
    Broker(bootstrap).configure("set", {"retention.ms": "1"}, [])
    seen = Topic().read(call("Topic"), state)
    assert seen is not None and Topic().diff(call("Topic"), seen, seen.inputs).touches("config")
    Topic().update(call("Topic"), seen, seen.inputs)
    assert Topic().read(call("Topic"), state) == state
    Topic().update(call("Topic"), state, {**state.inputs, "config": {}})
    assert Broker(bootstrap).config("set")["retention.ms"] != "60000"


def test_a_topic_remade_smaller_behind_our_back_is_seen_and_grown_again(bootstrap: str) -> None:
    state = made(Topic(), "Topic", {"bootstrap": bootstrap, "name": "shrunk", "partitions": 3})
    Broker(bootstrap).remove("shrunk")
    until(lambda: Broker(bootstrap).partitions("shrunk") is None, seconds=10, what="its end")
    Broker(bootstrap).create("shrunk", 1, 1, {})
    seen = until(lambda: Topic().read(call("Topic"), state), seconds=10, what="the new topic")
    assert seen is not None and Topic().diff(call("Topic"), seen, seen.inputs).touches("partitions")
    assert Topic().update(call("Topic"), seen, seen.inputs)["partitions"] == 3 == Broker(bootstrap).partitions("shrunk")


def test_a_topic_that_holds_records_stays_unless_it_is_forced(bootstrap: str) -> None:
    state = made(Topic(), "Topic", {"bootstrap": bootstrap, "name": "full"})
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("full", b"x")
    assert producer.flush(20) == 0
    asked = call("Topic")
    Topic().delete(asked, state)
    assert Broker(bootstrap).partitions("full") == 1 and "'full' holds records" in asked.said[0][1]
    Topic().delete(asked, State(state.id, {**state.inputs, "force": True}, state.outputs))
    assert Topic().read(call("Topic"), state) is None
    empty = made(Topic(), "Topic", {"bootstrap": bootstrap, "name": "empty"})
    Topic().delete(call("Topic"), empty)
    assert Broker(bootstrap).partitions("empty") is None


def test_a_topic_of_a_broker_that_is_down_stays_as_it_was_and_does_not_stop_a_destroy(bootstrap: str) -> None:
    inputs = Topic().check(call("Topic"), {}, {"bootstrap": "127.0.0.1:9", "name": "far"}).inputs
    down = State("far", inputs, {"name": "far", "partitions": 1, "config": {}})
    assert Topic().read(call("Topic"), down) == down
    asked = call("Topic")
    Topic().delete(asked, down)
    assert "stays in its broker's data" in asked.said[0][1]
