"""Processes that register and promote on one registry while others are killed in the middle of registering."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from adapters.conformance.model_registry_concurrency import Attempt, check_linearizable
from adapters.drivers.registry.objects import ObjectRegistry
from adapters.drivers.storage import s3
from adapters.settings import Settings
from tests.conformance.registry_worker import MODEL, PLACES, VERSIONS, WAIT_SECONDS, Registry
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


def crowd(folder: Path, settings: Settings, registry: Registry) -> tuple[list[int], list[Attempt]]:
    """Some processes register and promote while others are killed in the middle; what the first got, and tried."""
    (folder / "settings.json").write_bytes(settings.to_json())
    for number in range(VERSIONS):
        registry.register(MODEL, {"config.json": b"%d" % number})
    registry.set_alias(MODEL, "champion", 1)
    with contextlib.ExitStack() as stack:
        doomed = {place: stack.enter_context(worker(folder, place, place)) for place in PLACES}
        steady = {name: stack.enter_context(worker(folder, name, "steady")) for name in STEADY}
        for name, process in (doomed | steady).items():
            written(folder, f"{name}.ready", process)
        (folder / "go").touch()
        for name, process in doomed.items():
            written(folder, f"{name}.halted", process)
            process.send_signal(signal.SIGKILL)
        reports = [json.loads(written(folder, f"{name}.json", process).read_text()) for name, process in steady.items()]
    made = sorted(number for report in reports for number in report["made"])
    return made, [Attempt(**one) for report in reports for one in report["attempts"]]


def check(registry: Registry, made: list[int], attempts: list[Attempt], *, killed: set[str]) -> None:
    """All versions are whole, those of the processes that were not killed, and of those that were: exactly `killed`."""
    versions = registry.versions(MODEL)
    assert [found.version for found in versions] == list(range(len(versions), 0, -1))
    by = {found.version: found.params.get("by") for found in versions}
    assert made == sorted(number for number, name in by.items() if name in STEADY) and len(made) == 6
    assert sorted(name for name in by.values() if name not in (None, *STEADY)) == sorted(killed)
    for found in versions:
        for artifact in found.artifacts:
            assert len(registry.read(found, artifact.name)) == artifact.size_bytes
    assert len(attempts) == 18
    assert registry.get(MODEL, "champion").version == check_linearizable(attempts, start=1)


def test_a_process_killed_while_it_registers_leaves_no_half_version_and_stops_nobody(tmp_path: Path) -> None:
    with s3_server() as server, contextlib.closing(s3.open(s3_access(server, tmp_path))) as storage:
        registry = ObjectRegistry(storage)
        settings = Settings(cloud="onprem", storage=s3_access(server, tmp_path))
        made, attempts = crowd(tmp_path, settings, registry)
        check(registry, made, attempts, killed={"after-record"})
        assert [entry.epoch for entry in registry.history(MODEL)] == list(range(1, registry.epoch(MODEL) + 1))
        assert storage.sweep_uploads(older_than_seconds=0) == 1, "the upload was not torn"
        newest = registry.versions(MODEL)[0].version
        assert registry.register(MODEL, {"config.json": b"after"}).version == newest + 1
