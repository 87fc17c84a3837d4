"""Processes that register and promote on one S3 server while others are killed in the middle of registering."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.conformance.model_registry_concurrency import Attempt, check_linearizable
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import s3
from tests.conformance.registry_worker import MODEL, PLACES, VERSIONS, WAIT_SECONDS
from tests.conformance.test_model_registry import s3_access
from tests.deadline import until
from tests.servers import s3_server

ROOT = Path(__file__).resolve().parents[2]
STEADY = ("ada", "grace", "katherine")


@contextlib.contextmanager
def worker(folder: Path, name: str, place: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `registry_worker`, ended with the block."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.registry_worker", str(folder), name, place],
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_SECONDS)


def written(folder: Path, name: str, process: subprocess.Popen[bytes]) -> Path:
    """The file, once it is there. Raises with the process's log when that ended before."""
    path = folder / name

    def there() -> bool:
        if process.poll() is not None and not path.exists():
            log = folder / f"{path.stem}.log"
            raise ChildProcessError(f"ended with {process.returncode} before {name}: {log.read_text()[-2000:]}")
        return path.exists()

    until(there, seconds=WAIT_SECONDS, what=name)
    return path


def test_a_process_killed_while_it_registers_leaves_no_half_version_and_stops_nobody(tmp_path: Path) -> None:
    with s3_server() as server, contextlib.ExitStack() as stack:
        settings = s3_access(server, tmp_path)
        (tmp_path / "settings.json").write_bytes(msgspec.json.encode(settings))
        storage = s3.open(settings)
        stack.callback(storage.close)
        registry = ObjectRegistry(storage)
        for number in range(VERSIONS):
            registry.register(MODEL, {"config.json": b"%d" % number})
        registry.set_alias(MODEL, "champion", 1)

        doomed = {place: stack.enter_context(worker(tmp_path, place, place)) for place in PLACES}
        steady = {name: stack.enter_context(worker(tmp_path, name, "steady")) for name in STEADY}
        for name, process in (doomed | steady).items():
            written(tmp_path, f"{name}.ready", process)
        (tmp_path / "go").touch()
        for name, process in doomed.items():
            written(tmp_path, f"{name}.halted", process)
            process.send_signal(signal.SIGKILL)
        reports = [
            json.loads(written(tmp_path, f"{name}.json", process).read_text()) for name, process in steady.items()
        ]

        versions = registry.versions(MODEL)
        assert [found.version for found in versions] == list(range(len(versions), 0, -1))
        by = {found.version: found.params.get("by") for found in versions}
        made = sorted(number for report in reports for number in report["made"])
        assert made == sorted(number for number, name in by.items() if name in STEADY) and len(made) == 6
        assert [name for name in by.values() if name not in (None, *STEADY)] == ["after-record"]
        for found in versions:
            for artifact in found.artifacts:
                assert len(registry.read(found, artifact.name)) == artifact.size_bytes
        attempts = [Attempt(**one) for report in reports for one in report["attempts"]]
        assert len(attempts) == 18
        assert registry.get(MODEL, "champion").version == check_linearizable(attempts, start=1)
        assert [entry.epoch for entry in registry.history(MODEL)] == list(range(1, registry.epoch(MODEL) + 1))

        assert storage.sweep_uploads(older_than_seconds=0) == 1, "the upload was not torn"
        assert registry.register(MODEL, {"config.json": b"after"}).version == len(versions) + 1
