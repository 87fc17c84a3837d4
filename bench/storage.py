"""What an adapter costs over the SDK beneath it, and what the bulk calls gain: `make bench WHICH=storage`.

    python -m bench.storage [--quick] [--json]

Each call goes to the same real server (SeaweedFS for S3, fake-gcs-server for GCS) once through `connect()`, with retries and
prefix as a process gets them, and once through the bare SDK. Promise: under 5 % over the SDK, aim 1 %; bulk at least 5 times
a loop over the SDK on 2,000 objects of 16 KiB.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters import connect
from adapters.ports import ObjectStorage
from adapters.settings import Secret, Settings, StorageSettings
from bench.interleave import apart, load, ratio, take_turns
from tests.servers import ObjectServer, gcs_server, s3_server

SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "8 MiB": 8 << 20, "256 MiB": 256 << 20}
TURNS = {"1 KiB": 600, "64 KiB": 400, "8 MiB": 40, "256 MiB": 7}
BULK_OBJECTS, BULK_BYTES, BULK_TURNS, THREADS = 2_000, 16 << 10, 3, 16
PREFIX = "bench/"
Calls = dict[str, Callable[[], object]]


@dataclass
class Line:
    """One row of the report. Ratios are ours over theirs; the bounds are the median's 95 % interval over the turns."""

    cloud: str
    call: str
    size: str
    peer: str
    wall: float
    wall_low: float
    wall_high: float
    cpu: float
    milliseconds: float
    """Of ours, per call, median."""


class Native:
    """The bare SDK calls that do what the port's calls do."""

    def __init__(self, put: Any, get: Any, head: Any, get_range: Any, listing: Any, delete: Any) -> None:
        self.put, self.get, self.head, self.get_range, self.list, self.delete = (
            put,
            get,
            head,
            get_range,
            listing,
            delete,
        )


def s3_native(server: ObjectServer) -> tuple[Native, Any]:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(
            max_pool_connections=64,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    where = {"Bucket": server.bucket}
    native = Native(
        lambda key, body: client.put_object(**where, Key=key, Body=body),
        lambda key: client.get_object(**where, Key=key)["Body"].read(),
        lambda key: client.head_object(**where, Key=key),
        lambda key, start, end: client.get_object(**where, Key=key, Range=f"bytes={start}-{end - 1}")["Body"].read(),
        lambda prefix: client.list_objects_v2(**where, Prefix=prefix, MaxKeys=100)["Contents"],
        lambda key: client.delete_object(**where, Key=key),
    )
    return native, client


def gcs_native(server: ObjectServer) -> tuple[Native, Any]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(
        project="bench", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url}
    )
    bucket = client.bucket(server.bucket)
    native = Native(
        lambda key, body: bucket.blob(key).upload_from_string(body, content_type="application/octet-stream"),
        lambda key: bucket.blob(key).download_as_bytes(),
        lambda key: bucket.get_blob(key),
        lambda key, start, end: bucket.blob(key).download_as_bytes(start=start, end=end - 1),
        lambda prefix: list(client.list_blobs(bucket, prefix=prefix, max_results=100)),
        lambda key: bucket.blob(key).delete(),
    )
    return native, bucket


def single_calls(cloud: str, store: ObjectStorage, native: Native, *, quick: bool) -> Iterator[Line]:
    for size, size_bytes in SIZES.items():
        if quick and size_bytes > 8 << 20:
            continue
        body = os.urandom(size_bytes)
        key, full = f"one-{size_bytes}", f"{PREFIX}one-{size_bytes}"
        store.put(key, body)
        pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "put": (lambda k=key, b=body: store.put(k, b), lambda k=full, b=body: native.put(k, b)),
            "get": (lambda k=key: store.get(k), lambda k=full: native.get(k)),
        }
        if size == "1 KiB":
            pairs |= {
                "head": (lambda k=key: store.head(k), lambda k=full: native.head(k)),
                "list 100": (lambda: store.list("listed/", limit=100), lambda: native.list(PREFIX + "listed/")),
            }
        if size == "64 KiB":
            pairs["range 4 KiB"] = (
                lambda k=key: store.get_range(k, 8192, 4096),
                lambda k=full: native.get_range(k, 8192, 12288),
            )
        for call, (ours, theirs) in pairs.items():
            samples = take_turns({"ours": ours, "sdk": theirs}, turns=TURNS[size] // (10 if quick else 1))
            yield line(cloud, call, size, "the SDK", samples)


def bulk(cloud: str, store: ObjectStorage, native: Native, threaded: Calls) -> Iterator[Line]:
    bodies = [(f"bulk/{number:05}", os.urandom(BULK_BYTES)) for number in range(BULK_OBJECTS)]
    keys = [key for key, _ in bodies]
    puts: Calls = {
        "ours": lambda: store.put_many(bodies),
        "a loop over the SDK": lambda: [native.put(PREFIX + key, body) for key, body in bodies],
        "the SDK in 16 threads": lambda: in_threads(lambda item: native.put(PREFIX + item[0], item[1]), bodies),
    }
    gets: Calls = {
        "ours": lambda: [*store.get_many(keys)],
        "a loop over the SDK": lambda: [native.get(PREFIX + key) for key in keys],
        "the SDK in 16 threads": lambda: in_threads(lambda key: native.get(PREFIX + key), keys),
        **threaded,
    }
    for call, candidates in (("put_many", puts), ("get_many", gets)):
        samples = take_turns(candidates, turns=BULK_TURNS)
        for peer in [name for name in candidates if name != "ours"]:
            yield line(cloud, call, "2,000 x 16 KiB", peer, {"ours": samples["ours"], "sdk": samples[peer]})


def in_threads(call: Callable[[Any], object], items: list[Any]) -> list[object]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [*pool.map(call, items)]


def line(cloud: str, call: str, size: str, peer: str, samples: dict[str, Any]) -> Line:
    ours, theirs = samples["ours"], samples["sdk"]
    wall, low, high = ratio(ours.wall, theirs.wall)
    cpu, _, _ = ratio(ours.cpu, theirs.cpu)
    return Line(cloud, call, size, peer, wall, low, high, cpu, statistics.median(ours.wall) * 1e3)


@contextlib.contextmanager
def platforms(folder: str) -> Iterator[Iterator[tuple[str, ObjectServer, ObjectStorage, Native, Calls]]]:
    """(cloud, server, our store, the bare SDK, further peers) for S3 and GCS."""
    with contextlib.ExitStack() as stack:

        def each() -> Iterator[tuple[str, ObjectServer, ObjectStorage, Native, Calls]]:
            s3 = stack.enter_context(s3_server("bench"))
            native, _ = s3_native(s3)
            yield "aws", s3, stack.enter_context(connect(settings("aws", s3, folder))).storage, native, {}
            gcs = stack.enter_context(gcs_server("bench"))
            native, bucket = gcs_native(gcs)
            manager: Calls = {"Google's transfer_manager": lambda: transfer_manager(bucket)}
            yield "gcp", gcs, stack.enter_context(connect(settings("gcp", gcs, folder))).storage, native, manager

        yield each()


def transfer_manager(bucket: Any) -> None:
    """Google's own bulk download, with threads as its documentation advises for small objects."""
    import io

    from google.cloud.storage import transfer_manager as manager

    pairs = [(bucket.blob(f"{PREFIX}bulk/{number:05}"), io.BytesIO()) for number in range(BULK_OBJECTS)]
    manager.download_many(pairs, worker_type=manager.THREAD, max_workers=THREADS, raise_exception=True)


def settings(cloud: str, server: ObjectServer, folder: str) -> Settings:
    secrets = {}
    for name, value in (("access_key", server.access_key), ("secret_key", server.secret_key)):
        if value:
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_text(value)
            secrets[name] = Secret(f"file:{path}")
    section = StorageSettings(
        bucket=server.bucket, prefix=PREFIX, endpoint=server.url, region="us-east-1", project="bench", **secrets
    )
    return Settings(cloud=cloud, emulated=True, storage=section)


def show(one: Line) -> None:
    print(
        f"{one.cloud:<5} {one.call:<12} {one.size:<15} {one.peer:<26} {one.wall:6.3f} ({one.wall_low:.2f} to {one.wall_high:.2f})"
        f"   {one.cpu:6.3f}   {one.milliseconds:10.3f} ms   {verdict(one)}",
        flush=True,
    )


def verdict(one: Line) -> str:
    if one.call.endswith("_many"):
        times = 1 / one.wall
        return f"{times:.1f}x" + ("" if one.peer != "a loop over the SDK" or times >= 5 else "  FALLS SHORT of 5x")
    over = max(one.wall, one.cpu) - 1
    return "within 1 %" if over <= 0.01 else "within 5 %" if over < 0.05 else "FALLS SHORT of 5 %"


def main(arguments: list[str]) -> int:
    """Measure and print; 0 always, since a figure that falls short is a result."""
    import tempfile

    quick, as_json = "--quick" in arguments, "--json" in arguments
    lines: list[Line] = []
    if not as_json:
        print(f"load {load()}; a call of ours and one of theirs in turns; ratios are ours over theirs, below 1 is quicker\n")
        print(
            f"{'cloud':<5} {'call':<12} {'size':<15} {'peer':<26} {'wall, median (95 %)':<24} {'cpu':<8} ours per call"
        )
    everything = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with tempfile.TemporaryDirectory() as folder, platforms(folder) as measured:
        for cloud, server, store, native, further in measured:
            words = apart(int(server.url.rsplit(":", 1)[1]))
            if not as_json:
                print(f"-- {cloud}: {words}")
            store.put_many([(f"listed/{number:03}", b"x") for number in range(100)])
            for one in single_calls(cloud, store, native, quick=quick):
                lines.append(one)
                _ = None if as_json else show(one)
            for one in [] if quick else bulk(cloud, store, native, further):
                lines.append(one)
                _ = None if as_json else show(one)
            if everything:
                os.sched_setaffinity(0, everything)
    print(
        json.dumps({"load": load(), "lines": [asdict(one) for one in lines]}, indent=2)
        if as_json
        else f"\nload {load()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
