"""What one kind of server has and the others have not: copies in parts, uploads past a limit, the XML API of GCS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from adapters.drivers.storage import gcs, s3
from adapters.drivers.storage.bulk import Bulk
from adapters.drivers.storage.deadline import bounded
from adapters.drivers.storage.gcs_client import bulk_store
from adapters.drivers.storage.gcs_errors import BY_STATUS
from adapters.drivers.storage.s3_copies import copy_in_parts
from adapters.errors import Conflict, Denied, Transient
from adapters.ports import StorageClass
from adapters.settings import Secret, StorageSettings
from tests.certificates import Authority
from tests.servers import ObjectServer, gcs_server, s3_server

MEBIBYTE = 1 << 20
PART_BYTES = 5 * MEBIBYTE
BODY = b"".join(bytes([number]) * MEBIBYTE for number in range(11))


@pytest.fixture(scope="module")
def seaweedfs(secret: Callable[[str], Secret]) -> Iterator[s3.S3Storage]:
    with s3_server() as server:
        section = StorageSettings(
            bucket=server.bucket,
            endpoint=server.url,
            access_key=secret(server.access_key),
            secret_key=secret(server.secret_key),
        )
        with closing(s3.open(section)) as storage:
            yield storage


@pytest.fixture
def source(seaweedfs: s3.S3Storage, request: pytest.FixtureRequest) -> dict[str, str]:
    place = {"Bucket": seaweedfs._bucket, "Key": f"{request.node.name}/source"}
    seaweedfs.put(place["Key"], BODY, content_type="text/plain", metadata={"a": "1"}, storage_class=StorageClass.WARM)
    seaweedfs.set_tags(place["Key"], {"team": "risk + co"})
    return place


def head(storage: s3.S3Storage, place: dict[str, str]) -> dict[str, object]:
    return storage._client.head_object(**place)


def test_a_copy_in_parts_has_all_that_the_source_has(seaweedfs: s3.S3Storage, source: dict[str, str]) -> None:
    target = {**source, "Key": source["Key"] + "2"}
    version = copy_in_parts(seaweedfs._clients, source, target, head(seaweedfs, source), part_bytes=PART_BYTES)
    copied = seaweedfs.get(target["Key"])
    assert (copied.body == BODY, copied.info.version) == (True, version)
    assert (copied.info.content_type, dict(copied.info.metadata)) == ("text/plain", {"a": "1"})
    assert copied.info.storage_class is StorageClass.WARM
    assert seaweedfs.tags(target["Key"]) == {"team": "risk + co"}


def test_a_copy_in_parts_of_what_was_overwritten_is_a_conflict_and_leaves_nothing(
    seaweedfs: s3.S3Storage, source: dict[str, str]
) -> None:
    known = head(seaweedfs, source)
    seaweedfs.put(source["Key"], BODY[::-1])
    target = {**source, "Key": source["Key"] + "2"}
    seaweedfs.sweep_uploads(older_than_seconds=0)
    for place in (target, source):
        with pytest.raises(Conflict):
            copy_in_parts(seaweedfs._clients, source, place, known, part_bytes=PART_BYTES)
    assert [info.key for info in seaweedfs.list(source["Key"]).objects] == [source["Key"]]
    assert seaweedfs.get(source["Key"]).body == BODY[::-1]
    assert seaweedfs.sweep_uploads(older_than_seconds=0) == 0


def test_a_long_object_moves_to_another_class_in_parts(
    seaweedfs: s3.S3Storage, source: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPY_BYTES", 10 * MEBIBYTE)
    monkeypatch.setattr("adapters.drivers.storage.s3_copies.COPY_PART_BYTES", PART_BYTES)
    seaweedfs.set_storage_class(source["Key"], StorageClass.COLD)
    moved = seaweedfs.get(source["Key"])
    assert (moved.body == BODY, moved.info.storage_class) == (True, StorageClass.COLD)
    assert moved.info.version.endswith('-1"'), "it was put together of parts"
    assert seaweedfs.tags(source["Key"]) == {"team": "risk + co"}


def test_a_body_past_the_limit_of_one_request_goes_in_parts(
    seaweedfs: s3.S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PUT_BYTES", 10 * MEBIBYTE)
    version = seaweedfs.put("long", BODY, metadata={"a": "1"})
    stored = seaweedfs.get("long")
    assert (stored.body == BODY, stored.info.version, dict(stored.info.metadata)) == (True, version, {"a": "1"})
    assert version.endswith('-2"')
    with pytest.raises(Conflict):
        seaweedfs.put("long", BODY, if_version=seaweedfs.put("other", b""))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority, secret: Callable[[str], Secret]) -> Iterator[StorageSettings]:
    with s3_server(certificate=authority.server_file) as server:
        yield StorageSettings(
            bucket=server.bucket,
            endpoint=server.url,
            access_key=secret(server.access_key),
            secret_key=secret(server.secret_key),
            ca_file=str(authority.ca_file),
            timeout_seconds=20.0,
        )


def test_a_store_behind_a_certificate_of_ones_own_is_reached(tls: StorageSettings) -> None:
    with closing(s3.open(tls)) as storage:
        storage.put("long", BODY)
        assert storage.get("long").body == BODY
        assert b"".join(storage.stream("long", chunk_bytes=MEBIBYTE)) == BODY
        assert len(storage.put_many((f"many/{number}", b"%d" % number) for number in range(10))) == 10
        assert [one.body for one in storage.get_many(["many/3", "many/7"])] == [b"3", b"7"]


def test_the_deadline_holds_behind_tls_too(tls: StorageSettings) -> None:
    with closing(s3.open(tls)) as storage:
        storage.put("long", BODY)
        with bounded(time.monotonic() + 10.0):
            assert storage.get("long").body == BODY
        with bounded(time.monotonic()), pytest.raises(Transient):
            storage.get("long")


def test_a_store_whose_certificate_nobody_signed_is_denied_with_the_cure(tls: StorageSettings) -> None:
    stranger = s3.open(msgspec.structs.replace(tls, ca_file=""))
    with closing(stranger), pytest.raises(Denied, match=r"set storage\.ca_file"):
        stranger.get("k")


@pytest.fixture(scope="module")
def fake_gcs() -> Iterator[ObjectServer]:
    with gcs_server() as server:
        yield server


@contextmanager
def xml_uploads(server: ObjectServer) -> Iterator[tuple[str, list[str]]]:
    """The upload of the XML API, which the emulator lacks, before it: its URL, and the content types that came."""
    came: list[str] = []

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            bucket, _, key = unquote(self.path).lstrip("/").partition("/")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(self.headers["Content-Type"])
            answer = httpx.post(
                f"{server.url}/upload/storage/v1/b/{bucket}/o",
                params={"uploadType": "media", "name": key},
                headers={"Content-Type": self.headers["Content-Type"]},
                content=body,
            ).json()
            self.send_response(200)
            self.send_header("ETag", f'"{answer["etag"]}"')
            self.send_header("x-goog-generation", answer["generation"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{gateway.server_port}", came
        finally:
            gateway.shutdown()
            thread.join()


def test_many_are_written_to_cloud_storage_through_its_xml_api(fake_gcs: ObjectServer) -> None:
    items = [(f"xml/{number} +ü", b"%d" % number) for number in range(40)]
    with xml_uploads(fake_gcs) as (url, came):
        section = StorageSettings(bucket=fake_gcs.bucket, endpoint=url)
        with (
            closing(gcs.open(section)) as storage,
            closing(
                Bulk(
                    bulk_store(storage._client, section),
                    storage,
                    version_of=lambda answer: answer["version"],
                    meanings=BY_STATUS,
                )
            ) as bulk,
        ):
            versions = [*bulk.put_each(items)]
    assert came == ["application/octet-stream"] * 40
    with closing(gcs.open(StorageSettings(bucket=fake_gcs.bucket, endpoint=fake_gcs.url))) as storage:
        stored = [*storage.get_many(key for key, _ in items)]
        assert [(one.info.key, one.body) for one in stored] == items
        assert [one.info.version for one in stored] == versions
        assert stored[0].info.content_type == "application/octet-stream"
