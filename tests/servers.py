"""Object storage servers for tests, each on free loopback ports in a temporary folder, ended with the block.

Only what a machine without Docker has: SeaweedFS for S3, fake-gcs-server for GCS, moto for what SeaweedFS lacks.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.children import end_with_parent
from tests.deadline import until
from tools.failure import ToolMissing
from tools.programs import locate

READY_SECONDS = 30.0
END_SECONDS = 10.0


@dataclass(frozen=True)
class ObjectServer:
    """A server that is ready: base URL, an existing bucket, and who may write it."""

    url: str
    bucket: str
    access_key: str = ""
    secret_key: str = ""
    reader_key: str = ""
    """Credentials that may read the bucket and not write it, where the server knows such a difference."""
    reader_secret: str = ""


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, below the range from which the kernel picks ports for outgoing connections."""
    found: list[int] = []
    start = 20000 + (os.getpid() * 37) % 10000
    for port in [*range(start, 32000), *range(20000, start)]:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free loopback ports between 20000 and 32000")


@contextlib.contextmanager
def process(
    argv: Sequence[str], *, folder: Path, ready_url: str, name: str, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends. Its end before it is ready, or no readiness in time, raises with its log."""
    log = folder / f"{name}.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        try:
            until(lambda: _answers(server, ready_url), seconds=READY_SECONDS, what=f"{name} at {ready_url}")
        except (TimeoutError, ChildProcessError) as error:
            raise RuntimeError(f"{name} did not start: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
        yield server
    finally:
        _end(server)


@contextlib.contextmanager
def s3_server(bucket: str = "conformance", *, certificate: Path | None = None) -> Iterator[ObjectServer]:
    """SeaweedFS with one bucket, an administrator and a reader; behind TLS with a PEM file of key and certificate."""
    names = (
        "s3.port",
        "s3.port.https",
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
    )
    names += ("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc", "metricsPort")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    url = f"http://127.0.0.1:{ports['s3.port']}"
    server = ObjectServer(url, bucket, "admin", "admin-secret", "reader", "reader-secret")
    with tempfile.TemporaryDirectory(prefix="isthmus-s3-") as name:
        folder = Path(name)
        (folder / "s3.json").write_text(json.dumps(_identities(server)))
        flags = ["-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"]
        flags += [
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.config=s3.json",
            "-s3.autoCreateBucket=false",
            f"-bucket={bucket}",
        ]
        flags += [f"-{flag}={port}" for flag, port in ports.items() if certificate or flag != "s3.port.https"]
        if certificate:
            flags += [f"-s3.cert.file={certificate}", f"-s3.key.file={certificate}"]
        with process([_program("seaweedfs"), "mini", *flags], folder=folder, ready_url=url, name="seaweedfs"):
            _await_bucket(server)
            yield replace(server, url=f"https://127.0.0.1:{ports['s3.port.https']}") if certificate else server


@contextlib.contextmanager
def gcs_server(bucket: str = "conformance") -> Iterator[ObjectServer]:
    """fake-gcs-server, in memory, with one bucket. It asks for no credentials."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="isthmus-gcs-") as name:
        argv = [_program("fake-gcs-server"), "-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
        argv += [f"-external-url={url}", f"-public-host=127.0.0.1:{port}", "-log-level=error"]
        with process(argv, folder=Path(name), ready_url=f"{url}/storage/v1/b?project=test", name="fake-gcs-server"):
            _post_json(f"{url}/storage/v1/b?project=test", {"name": bucket})
            yield ObjectServer(url, bucket)


@contextlib.contextmanager
def moto_server(bucket: str = "conformance") -> Iterator[ObjectServer]:
    """moto, in a process of its own, with one bucket: for storage classes and other things SeaweedFS lacks."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    server = ObjectServer(url, bucket, "test", "test")
    with tempfile.TemporaryDirectory(prefix="isthmus-moto-") as name:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with process(argv, folder=Path(name), ready_url=f"{url}/moto-api/", name="moto"):
            _client(server).create_bucket(Bucket=bucket)
            yield server


def _identities(server: ObjectServer) -> dict[str, object]:
    def identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, object]:
        return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}

    every = ["Admin", "Read", "Write", "List", "Tagging"]
    reading = [f"Read:{server.bucket}", f"List:{server.bucket}"]
    return {
        "identities": [
            identity("admin", server.access_key, server.secret_key, every),
            identity("reader", server.reader_key, server.reader_secret, reading),
        ]
    }


def _program(name: str) -> str:
    try:
        return locate(name).argv[0]
    except ToolMissing as error:
        raise RuntimeError(f"the tests need a real server: {error}") from error


def _client(server: ObjectServer):  # type: ignore[no-untyped-def]
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


def _await_bucket(server: ObjectServer) -> None:
    from botocore.exceptions import ClientError

    client = _client(server)

    def there() -> bool:
        try:
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"")
        except ClientError:
            return False
        client.delete_object(Bucket=server.bucket, Key="ready")
        return True

    until(there, seconds=READY_SECONDS, what=f"bucket {server.bucket} at {server.url}")


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    if server.poll() is not None:
        raise ChildProcessError(f"it ended with {server.returncode}")
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, if only a refusal
    except OSError:
        return False


def _post_json(url: str, document: object) -> None:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5):
        pass


def _end(server: subprocess.Popen[bytes]) -> None:
    server.kill()  # nothing in the temporary folder is worth a second of saying goodbye
    server.wait(END_SECONDS)
