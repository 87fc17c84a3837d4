"""One of the processes of `test_model_registry_processes.py`. It and the test tell each other where they are by files.

    python -m tests.conformance.registry_worker FOLDER NAME PLACE

reads `settings.json` from FOLDER, which says whether the records are in object storage or in MLflow. It writes NAME.ready,
waits for `go`, and works. With PLACE `steady` it registers and promotes, and writes NAME.json. Any other PLACE is where it
stops while it registers: it writes NAME.halted and waits to be killed.
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

from adapters.conformance.model_registry_concurrency import attempt
from adapters.drivers.registry.blobs import CHUNK_BYTES
from adapters.drivers.registry.mlflow import MlflowRegistry
from adapters.drivers.registry.mlflow_api import MlflowApi
from adapters.drivers.registry.mlflow_log import PREFIX
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import s3
from adapters.ports import Body, ObjectStorage, Version
from adapters.retry import Retrying
from adapters.settings import RegistrySettings, Settings
from tests.deadline import until
from tests.unit.adapters.registry.doubles import Around

MODEL = "fraud"
VERSIONS = 4
WAIT_SECONDS = 60.0
PLACES = ("in-upload", "before-record", "after-record")
LARGE_BYTES = CHUNK_BYTES * 5 // 2


class Halt:
    """Stops this process for good when it comes by `place`; None stops it nowhere."""

    def __init__(self, place: str | None, halted: Path) -> None:
        self._place, self._halted = place, halted

    def here(self, place: str) -> None:
        """This is `place`."""
        if place == self._place:
            self._halted.touch()
            threading.Event().wait(WAIT_SECONDS)
            sys.exit("nobody killed this process")


class HaltingStorage(Around):
    """Comes by the places of a registration whose record is an object."""

    def __init__(self, inner: Any, halt: Halt) -> None:
        super().__init__(inner)
        self._halt = halt

    def put(self, key: str, body: Body, **options: Any) -> Version:
        if "/log/" not in key:
            return self.inner.put(key, body, **options)
        self._halt.here("before-record")
        version = self.inner.put(key, body, **options)
        self._halt.here("after-record")
        return version

    def put_stream(self, key: str, chunks: Iterable[Body], **options: Any) -> Version:
        return self.inner.put_stream(key, self._torn(chunks), **options)

    def _torn(self, chunks: Iterable[Body]) -> Iterator[Body]:
        for number, chunk in enumerate(chunks):
            if number == 2:
                self._halt.here("in-upload")
            yield chunk


class HaltingApi(MlflowApi):
    """Comes by the places of a registration whose record is in MLflow: before it the version has its number already."""

    def __init__(self, settings: RegistrySettings, halt: Halt) -> None:
        super().__init__(settings)
        self._halt = halt

    def create_version(self, name: str, **fields: Any) -> int:
        if not name.startswith(PREFIX):
            return super().create_version(name, **fields)
        self._halt.here("before-record")
        number = super().create_version(name, **fields)
        self._halt.here("after-record")
        return number


Registry = ObjectRegistry | MlflowRegistry


def opened(settings: Settings, storage: ObjectStorage, halt: Halt, *, writer: str) -> Registry:
    """The registry of the settings, with these places to stop at."""
    storage = HaltingStorage(Retrying(storage, deadline_seconds=30.0), halt).port()
    if settings.registry.mlflow_url:
        return MlflowRegistry(HaltingApi(settings.registry, halt), storage, writer=writer)
    return ObjectRegistry(storage, writer=writer)


def promote(registry: Registry, folder: Path, name: str) -> None:
    """Register twice and try six promotions; write down what happened."""
    rng = random.Random(name)
    made, attempts = [], []
    for round_ in range(2):
        made.append(registry.register(MODEL, {"config.json": f"{name} {round_}".encode()}, params={"by": name}).version)
        attempts += [attempt(registry, registry, MODEL, rng.randrange(1, VERSIONS + 1)) for _ in range(3)]
    partial = folder / f"{name}.partial"
    partial.write_text(json.dumps({"made": made, "attempts": [dataclasses.asdict(one) for one in attempts]}))
    partial.rename(folder / f"{name}.json")


def stop(registry: Registry, folder: Path, name: str) -> None:
    """Register, for a stop in an upload a file that takes several parts; never returns."""
    weights = folder / f"{name}.safetensors"
    weights.write_bytes(random.Random(name).randbytes(LARGE_BYTES if name == "in-upload" else 100))
    registry.register(MODEL, {"config.json": b"{}", "weights.safetensors": weights}, params={"by": name})


def main(folder: Path, name: str, place: str) -> None:
    settings = Settings.load(folder / "settings.json", environ={})
    halt = Halt(None if place == "steady" else place, folder / f"{name}.halted")
    registry = opened(settings, s3.open(settings.storage), halt, writer=name)
    (folder / f"{name}.ready").touch()
    until((folder / "go").exists, seconds=WAIT_SECONDS, what="go")
    (promote if place == "steady" else stop)(registry, folder, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
