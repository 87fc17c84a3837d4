"""Apache Kafka: the jars of `locks/kafka.txt`, fetched by Maven coordinates, each known by its SHA-256."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tools import catalogue, packages, process, servers, store
from tools.failure import SetupFailed
from tools.progress import Step, megabytes

# jgo knows where Maven's central repository is, so this checkout does not have to.
_FETCHER = Path(__file__).with_name("maven_fetch.py")


@dataclass(frozen=True)
class Jar:
    """One line of the lock: Maven's coordinates `group:artifact:version`, and what the file must hash to."""

    coordinates: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """As Maven names it."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def jars() -> list[Jar]:
    """What the lock lists."""
    lines = catalogue.lock_file("kafka").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines if line and not line.startswith("#")]
    return [Jar(coordinates, sha.removeprefix("sha256:"), int(size)) for coordinates, sha, size in fields]


def ready() -> str | None:
    """One sentence on Kafka if it is installed as the lock says, else None."""
    receipt = store.read_json(catalogue.kafka_folder() / store.RECEIPT)
    if receipt is None or receipt["lock"] != catalogue.lock_digest("kafka"):
        return None
    return f"{receipt['version']}, {receipt['jars']} jars"


def install(step: Step) -> str:
    """Fetch the jars that are not here yet, check every one, and put them in place together."""
    folder = catalogue.kafka_folder()
    with store.exclusive("kafka", "which installs Kafka", step.say):
        done = ready()
        if done:
            return done
        packages.room(step, folder.parent, catalogue.NEEDED_MB["kafka"])
        store.sweep(folder.parent, folder.name)
        wanted = jars()
        with store.appearing(folder, resume=True) as making:
            place = making / "jars"
            place.mkdir(exist_ok=True)
            keep_only(place, wanted)
            _fetch(step, place, [jar for jar in wanted if not (place / jar.file_name).exists()], wanted)
            wrong = [jar.file_name for jar in wanted if not _is(place / jar.file_name, jar)]
            if wrong:
                raise SetupFailed(
                    f"kafka: {', '.join(wrong)} did not come as locks/kafka.txt says: run this again, and if it "
                    "happens again do not trust the repository it came from"
                )
            receipt = {"version": catalogue.KAFKA_VERSION, "jars": len(wanted), "lock": catalogue.lock_digest("kafka")}
            store.write_json(making / store.RECEIPT, receipt)
    return ready() or "installed"


def keep_only(place: Path, wanted: list[Jar]) -> None:
    """Delete what an interrupted run left half-written, or for another version."""
    names = {jar.file_name: jar for jar in wanted}
    for path in place.iterdir():
        if path.name not in names or not _is(path, names[path.name]):
            path.unlink()


def _fetch(step: Step, place: Path, missing: list[Jar], wanted: list[Jar]) -> None:
    if not missing:
        return
    total = sum(jar.size_bytes for jar in wanted)
    arrived = {"bytes": total - sum(jar.size_bytes for jar in missing)}
    start = arrived["bytes"]

    def hear(line: str) -> None:
        if line.startswith("got "):
            arrived["bytes"] += int(line.split()[1])

    def show(_: int) -> None:
        rate = megabytes((arrived["bytes"] - start) / max(step.seconds, 0.1))
        step.doing(f"fetching jars: {megabytes(arrived['bytes'])} of {megabytes(total)}, {rate}/s", arrived["bytes"] / total)

    fetcher = [str(servers.python(catalogue.servers_folder())), str(_FETCHER), str(place)]
    env = {**packages.environment(), "PYTHONUNBUFFERED": "1"}
    coordinates = [jar.coordinates for jar in missing]
    process.run([*fetcher, *coordinates], step, env=env, on_line=hear, on_tick=show, timeout_seconds=1800)


def _is(path: Path, jar: Jar) -> bool:
    if not path.is_file() or os.stat(path).st_size != jar.size_bytes:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == jar.sha256
