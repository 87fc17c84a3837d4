"""Apache Kafka: the jars of `locks/kafka.txt`, each known by its SHA-256, and the archive that halves its start."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from tools import catalogue, network, packages, process, programs, servers, store
from tools.failure import SetupFailed
from tools.progress import Step, megabytes

MAVEN = Path(__file__).with_name("maven.py")
_ENDED_BY_TERM = 143
_CLUSTER = "isthmusTrialClusterAAA"  # Kafka wants 16 bytes in URL-safe base64
_TRIAL = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


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

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is this jar, to the last bit."""
        if not path.is_file() or path.stat().st_size != self.size_bytes:
            return False
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256


def jars() -> list[Jar]:
    """What the lock lists."""
    lines = catalogue.lock_file("kafka").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines if line and not line.startswith("#")]
    return [Jar(coordinates, sha.removeprefix("--hash=sha256:"), int(size)) for coordinates, sha, size in fields]


def ready() -> str | None:
    """One sentence on Kafka if it is installed as the lock says, else None."""
    receipt = store.read_json(catalogue.kafka_folder() / store.RECEIPT)
    if receipt is None or receipt.get("made_from") != _made_from():
        return None
    return f"{receipt['version']}, {len(receipt['jars'])} jars"


def _made_from() -> dict[str, str]:
    """The archive of classes is good for exactly these jars on exactly this Java."""
    return {"lock": catalogue.lock_digest("kafka"), "java": catalogue.servers_folder().name}


def install(step: Step) -> str:
    """Fetch the jars that are not here yet, check every one, start Kafka once, and put all in place together."""
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
            reuse(folder / "jars", place)
            keep_only(place, wanted)
            _fetch(step, place, [jar for jar in wanted if not (place / jar.file_name).exists()], wanted)
            verify(place, wanted)
            names = sorted(jar.file_name for jar in wanted)
            _share_classes(step, making, names)
            receipt = {"version": catalogue.KAFKA_VERSION, "jars": names, "made_from": _made_from()}
            store.write_json(making / store.RECEIPT, receipt)
    return ready() or "installed"


def reuse(old: Path, place: Path) -> None:
    """Begin with the jars of the installation that is to be replaced, if there is one."""
    for path in old.glob("*.jar"):
        if not (place / path.name).exists():
            os.link(path, place / path.name)


def keep_only(place: Path, wanted: list[Jar]) -> None:
    """Delete what is half-written or of another version."""
    names = {jar.file_name: jar for jar in wanted}
    for path in place.iterdir():
        if path.name not in names or not names[path.name].is_at(path):
            path.unlink()


def verify(place: Path, wanted: list[Jar]) -> None:
    """Raise SetupFailed unless every jar is there as the lock says."""
    wrong = [jar.file_name for jar in wanted if not jar.is_at(place / jar.file_name)]
    if wrong:
        raise SetupFailed(
            f"kafka: {', '.join(wrong)} did not come as locks/kafka.txt says: run this again, and if it happens again "
            "do not trust the repository it came from"
        )


def _fetch(step: Step, place: Path, missing: list[Jar], wanted: list[Jar]) -> None:
    if not missing:
        return
    total = sum(jar.size_bytes for jar in wanted)
    arrived = total - sum(jar.size_bytes for jar in missing)

    def hear(line: str) -> None:
        nonlocal arrived
        if line.startswith("got "):
            arrived += int(line.split()[1])

    def show(_: int) -> None:
        step.doing(f"fetching jars: {megabytes(arrived)} of {megabytes(total)}", arrived / total)

    command = [str(servers.python(catalogue.servers_folder())), str(MAVEN), "fetch", str(place)]
    command += [jar.coordinates for jar in missing]
    env = network.online_environment()
    process.run(command, step, env=env, on_line=hear, on_tick=show, timeout_seconds=1800, online=True)


def _share_classes(step: Step, folder: Path, names: list[str]) -> None:
    """Start a broker and stop it, so that Java writes down the classes it parsed (Class Data Sharing, JEP 350).

    A start with the archive takes about half the CPU. It is also the proof that Kafka runs on this machine.
    """
    trial = folder / "trial"
    archive = folder / catalogue.KAFKA_ARCHIVE
    shutil.rmtree(trial, ignore_errors=True)
    archive.unlink(missing_ok=True)
    trial.mkdir()
    port, controller = _free_ports(2)
    properties = trial / "server.properties"
    properties.write_text(_TRIAL.format(port=port, controller=controller, folder=trial), encoding="utf-8")
    java = [_java(), *programs.kafka_arguments(folder, names)]
    env = network.environment()

    def stop_when_up(pid: int) -> None:
        step.doing("starting it once")
        if _answers(port):
            os.kill(pid, signal.SIGTERM)

    layout = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties)]
    process.run(layout, step, env=env, doing="starting it once", timeout_seconds=300)
    process.run(
        [*java[:1], "-Xmx256m", f"-XX:ArchiveClassesAtExit={archive}", *java[1:], "kafka.Kafka", str(properties)],
        step,
        env=env,
        on_tick=stop_when_up,
        timeout_seconds=300,
        good=(_ENDED_BY_TERM,),
    )
    shutil.rmtree(trial)


def _java() -> str:
    return programs.locate("java").argv[0]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
