"""One of the processes of `test_model_registry_processes.py`. It and the test tell each other where they are by files.

    python -m tests.conformance.registry_worker FOLDER NAME PLACE

reads `settings.json` from FOLDER, writes NAME.ready, waits for `go`, and works. With PLACE `steady` it registers and
promotes, and writes NAME.json. Any other PLACE is where it stops while it registers: it writes NAME.halted and waits to be
killed.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from adapters.conformance.model_registry_concurrency import attempt
from adapters.drivers.registry.blobs import CHUNK_BYTES
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import s3
from adapters.ports import Body, Version
from adapters.retry import Retrying
from adapters.settings import StorageSettings
from tests.deadline import until
from tests.unit.adapters.registry.doubles import Around

MODEL = "fraud"
VERSIONS = 4
WAIT_SECONDS = 60.0
PLACES = ("in-upload", "before-record", "after-record")
LARGE_BYTES = CHUNK_BYTES * 5 // 2


class Halting(Around):
    """Stops for good at `place` of a registration."""

    def __init__(self, inner: Any, place: str, halted: Path) -> None:
        super().__init__(inner)
        self._place, self._halted = place, halted

    def put(self, key: str, body: Body, **options: Any) -> Version:
        if "/log/" in key and self._place == "before-record":
            self._halt()
        version = self.inner.put(key, body, **options)
        if "/log/" in key and self._place == "after-record":
            self._halt()
        return version

    def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
        return self.inner.put_stream(key, self._torn(chunks), **options)

    def _torn(self, chunks: Iterable[Body]) -> Iterator[Body]:
        for number, chunk in enumerate(chunks):
            if number == 2 and self._place == "in-upload":
                self._halt()
            yield chunk

    def _halt(self) -> None:
        self._halted.touch()
        threading.Event().wait(WAIT_SECONDS)
        sys.exit("nobody killed this process")


def promote(registry: ObjectRegistry, folder: Path, name: str) -> None:
    """Register twice and try six promotions; write down what happened."""
    rng = random.Random(name)
    made, attempts = [], []
    for round_ in range(2):
        made.append(registry.register(MODEL, {"config.json": f"{name} {round_}".encode()}, params={"by": name}).version)
        attempts += [attempt(registry, registry, MODEL, rng.randrange(1, VERSIONS + 1)) for _ in range(3)]
    partial = folder / f"{name}.partial"
    partial.write_text(json.dumps({"made": made, "attempts": [dataclasses.asdict(one) for one in attempts]}))
    partial.rename(folder / f"{name}.json")


def stop(registry: ObjectRegistry, folder: Path, name: str) -> None:
    """Register, for a stop in an upload a file that takes several parts; never returns."""
    weights = folder / f"{name}.safetensors"
    weights.write_bytes(random.Random(name).randbytes(LARGE_BYTES if name == "in-upload" else 100))
    registry.register(MODEL, {"config.json": b"{}", "weights.safetensors": weights}, params={"by": name})


def main(folder: Path, name: str, place: str) -> None:
    storage: Any = s3.open(msgspec.json.decode((folder / "settings.json").read_bytes(), type=StorageSettings))
    storage = Retrying(storage, deadline_seconds=30.0)
    if place != "steady":
        storage = Halting(storage, place, folder / f"{name}.halted")
    registry = ObjectRegistry(storage, writer=name)
    (folder / f"{name}.ready").touch()
    until((folder / "go").exists, seconds=WAIT_SECONDS, what="go")
    (promote if place == "steady" else stop)(registry, folder, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
