"""What an adapter costs over the SDK beneath it, and what the bulk calls gain: `make bench WHICH=storage`.

    python -m bench.storage [--quick] [--json] [--only WORDS]

`--only 'gcp get'` measures the rows whose cloud, call and size begin so.

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
from bench.interleave import apart, load, ratio, take_turns, together
from tests.servers import ObjectServer, gcs_server, s3_server

SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "8 MiB": 8 << 20, "256 MiB": 256 << 20}
TURNS = {"1 KiB": 600, "64 KiB": 400, "8 MiB": 40, "256 MiB": 7}
CALLS = ("put", "get", "head", "list 100", "range 4 KiB")
BULK_OBJECTS, BULK_BYTES, BULK_TURNS, THREADS, OBSTORE_AT_ONCE = 2_000, 16 << 10, 3, 16, 32
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
        # The library decodes an entry's fields when they are looked at, so those that the port's page has are.
        lambda prefix: [
            (blob.name, blob.size, blob.generation, blob.time_created, blob.storage_class)
            for blob in client.list_blobs(bucket, prefix=prefix, max_results=100)
        ],
        lambda key: bucket.blob(key).delete(),
    )
    return native, bucket


def single_calls(cloud: str, store: ObjectStorage, native: Native, *, quick: bool, only: str) -> Iterator[Line]:
    for size, size_bytes in SIZES.items():
        if quick and size_bytes > 8 << 20:
            continue
        if not any(wanted(only, cloud, call, size) for call in CALLS):
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
            if not wanted(only, cloud, call, size):
                continue
            samples = take_turns({"ours": ours, "sdk": theirs}, turns=TURNS[size] // (10 if quick else 1))
            yield line(cloud, call, size, "the SDK", samples)


def wanted(only: str, *words: str) -> bool:
    """Whether a row is asked for."""
    return " ".join(words).startswith(only)


def bulk(cloud: str, store: ObjectStorage, native: Native, further: dict[str, Calls], *, only: str) -> Iterator[Line]:
    bodies = [(f"bulk/{number:05}", os.urandom(BULK_BYTES)) for number in range(BULK_OBJECTS)]
    keys = [key for key, _ in bodies]
    puts: Calls = {
        "ours": lambda: store.put_many(bodies),
        "a loop over the SDK": lambda: [native.put(PREFIX + key, body) for key, body in bodies],
        "the SDK in 16 threads": lambda: in_threads(lambda item: native.put(PREFIX + item[0], item[1]), bodies),
        **further.get("put_many", {}),
    }
    gets: Calls = {
        "ours": lambda: [*store.get_many(keys)],
        "a loop over the SDK": lambda: [native.get(PREFIX + key) for key in keys],
        "the SDK in 16 threads": lambda: in_threads(lambda key: native.get(PREFIX + key), keys),
        **further.get("get_many", {}),
    }
    for call, candidates in (("put_many", puts), ("get_many", gets)):
        if not wanted(only, cloud, call):
            continue
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


@dataclass
class Platform:
    """A server, our store on it, the bare SDK, and further peers of each bulk call by name."""

    cloud: str
    server: ObjectServer
    store: ObjectStorage
    native: Native
    further: dict[str, Calls]


@contextlib.contextmanager
def platforms(folder: str) -> Iterator[Iterator[Platform]]:
    """Each of S3 and GCS, started when it is its turn."""
    with contextlib.ExitStack() as stack:

        def each() -> Iterator[Platform]:
            s3 = stack.enter_context(s3_server("bench"))
            native, _ = s3_native(s3)
            further = obstore_alone(s3_obstore(s3))
            yield Platform(
                "aws", s3, stack.enter_context(connect(settings("aws", s3, folder))).storage, native, further
            )
            gcs = stack.enter_context(gcs_server("bench"))
            native, bucket = gcs_native(gcs)
            further = {"get_many": obstore_alone(gcs_obstore(gcs))["get_many"]}
            further["get_many"]["Google's transfer_manager"] = lambda: transfer_manager(bucket)
            yield Platform(
                "gcp", gcs, stack.enter_context(connect(settings("gcp", gcs, folder))).storage, native, further
            )

        yield each()


def s3_obstore(server: ObjectServer) -> Any:
    from obstore.store import S3Store

    return S3Store(
        server.bucket,
        endpoint=server.url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def gcs_obstore(server: ObjectServer) -> Any:
    from obstore.store import GCSStore

    return GCSStore(server.bucket, base_url=server.url, skip_signature=True, client_options={"allow_http": True})


def obstore_alone(store: Any) -> dict[str, Calls]:
    """The library under the bulk calls by itself, as its users would call it: what is left then is the server's time."""
    import asyncio

    import obstore

    async def each(call: Callable[[int], Any]) -> None:
        at_once = asyncio.Semaphore(OBSTORE_AT_ONCE)

        async def one(number: int) -> None:
            async with at_once:
                await call(number)

        await asyncio.gather(*map(one, range(BULK_OBJECTS)))

    async def get(number: int) -> None:
        answer = await obstore.get_async(store, f"{PREFIX}bulk/{number:05}")
        await answer.bytes_async()

    async def put(number: int) -> None:
        await obstore.put_async(store, f"{PREFIX}bulk/{number:05}", body, use_multipart=False)

    body = os.urandom(BULK_BYTES)
    name = f"obstore alone, {OBSTORE_AT_ONCE} at once"
    return {
        "get_many": {name: lambda: asyncio.run(each(get))},
        "put_many": {name: lambda: asyncio.run(each(put))},
    }


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
        times, busy = 1 / one.wall, 1 / one.cpu
        short = one.peer == "a loop over the SDK" and times < 5
        return f"{times:.1f}x as fast, {busy:.1f}x less CPU" + ("  FALLS SHORT of 5x" if short else "")
    over = max(one.wall, one.cpu) - 1
    return "within 1 %" if over <= 0.01 else "within 5 %" if over < 0.05 else "FALLS SHORT of 5 %"


def main(arguments: list[str]) -> int:
    """Measure and print; 0 always, since a figure that falls short is a result."""
    import tempfile

    quick, as_json = "--quick" in arguments, "--json" in arguments
    lines: list[Line] = []
    if not as_json:
        print(
            f"load {load()}; a call of ours and one of theirs in turns; ratios are ours over theirs, below 1 is quicker\n"
        )
        print(
            f"{'cloud':<5} {'call':<12} {'size':<15} {'peer':<26} {'wall, median (95 %)':<24} {'cpu':<8} ours per call"
        )
    only = arguments[arguments.index("--only") + 1] if "--only" in arguments else ""
    with tempfile.TemporaryDirectory() as folder, platforms(folder) as measured:
        for on in measured:
            words = apart(int(on.server.url.rsplit(":", 1)[1]))
            if not as_json:
                print(f"-- {on.cloud}: {words}; for the bulk calls both may use every core")
            on.store.put_many([(f"listed/{number:03}", b"x") for number in range(100)])
            for one in single_calls(on.cloud, on.store, on.native, quick=quick, only=only):
                lines.append(one)
                _ = None if as_json else show(one)
            together(int(on.server.url.rsplit(":", 1)[1]))
            for one in [] if quick else bulk(on.cloud, on.store, on.native, on.further, only=only):
                lines.append(one)
                _ = None if as_json else show(one)
    print(
        json.dumps({"load": load(), "lines": [asdict(one) for one in lines]}, indent=2)
        if as_json
        else f"\nload {load()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
