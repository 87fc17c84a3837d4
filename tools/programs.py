"""Where a program is and how it is started. Nothing is run to find out: versions are written down at install."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tools import catalogue, folders, store
from tools.failure import ToolMissing

Source = Literal["PATH", "cache", "checkout"]

# Programs of the person's own, as bootstrap found them on PATH: where, how large, since when, and which version.
ON_PATH = "on-path.json"
REDIS_NAMES = ("redis-server", "valkey-server")


@dataclass(frozen=True)
class Program:
    """How to start one program.

    Run `[*argv, ...]` with `env` laid over the environment. `licence` is an SPDX expression. `source` says whose it
    is: the person's own on PATH, ours in the cache, or part of this checkout.
    """

    name: str
    argv: tuple[str, ...]
    version: str
    licence: str
    source: Source
    env: Mapping[str, str] = field(default_factory=dict)


def locate(name: str) -> Program:
    """The program called `name`, one of `tools.catalogue.TOOLS`.

    Raises ToolMissing with what to type where it is not installed, and KeyError for a name that is not in the table.
    """
    tool = catalogue.TOOLS.get(name)
    if tool is None:
        raise KeyError(f"no tool is called {name!r}: expected one of {', '.join(catalogue.TOOLS)}")
    found = _FINDERS[name]()
    if found is None and not tool.step:
        raise ToolMissing(f"{name} is not in this checkout: restore {language_host_folder()} from the repository")
    if found is None:
        raise ToolMissing(f"{name} is not installed: run `python3 tools/bootstrap.py {tool.step}`")
    return found


def language_host_folder() -> Path:
    """Where our own language host for Python programs lies, for machines without the official one."""
    return folders.checkout() / "tools" / "language_host"


def _pulumi() -> Program | None:
    env = {"PATH": _engine_path(), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    own = on_path("pulumi")
    if own and catalogue.parse_version(own["version"]) >= catalogue.ENGINE_AT_LEAST:
        return _program("pulumi", (own["path"],), own["version"], "PATH", env)
    folder = catalogue.engine_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if receipt is None:
        return None
    return _program("pulumi", (str(folder / "pulumi"),), receipt["version"], "cache", env)


def _engine_path() -> str:
    """The engine takes its language host from PATH; ours comes last, so the official one wins where there is one."""
    return os.pathsep.join(filter(None, (os.environ.get("PATH", os.defpath), str(language_host_folder()))))


def _language_host() -> Program | None:
    official = shutil.which("pulumi-language-python")
    if official:
        return _program("pulumi-language-python", (official,), "", "PATH")
    ours = language_host_folder() / "pulumi-language-python"
    return _program("pulumi-language-python", (str(ours),), "", "checkout") if os.access(ours, os.X_OK) else None


def _redis() -> Program | None:
    for name in REDIS_NAMES:
        own = on_path(name)
        if own and catalogue.parse_version(own["version"]) >= catalogue.REDIS_AT_LEAST:
            return _program("redis-server", (own["path"],), own["version"], "PATH")
    return _server("redis-server")


def is_valkey(path: str) -> bool:
    """Whether a Redis server is Valkey, the continuation of Redis 7.2 under its old licence; it may be linked to."""
    return Path(path).resolve().name.startswith("valkey")


def _server(name: str) -> Program | None:
    folder = catalogue.servers_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if receipt is None or name not in receipt["programs"]:
        return None
    entry = receipt["programs"][name]
    return _program(name, (str(folder / entry["path"]),), entry["version"], "cache")


def _kafka() -> Program | None:
    """Java with Kafka on its class path: a main class follows, such as `kafka.Kafka` or `kafka.tools.StorageTool`."""
    java = _server("java")
    folder = catalogue.kafka_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if java is None or receipt is None:
        return None
    argv = (*java.argv, *kafka_arguments(folder, receipt["jars"]))
    return _program("kafka", argv, receipt["version"], "cache")


def _mlflow() -> Program | None:
    """MLflow's command line: `server` follows."""
    folder = catalogue.mlflow_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if receipt is None:
        return None
    return _program("mlflow", (str(folder / "bin" / "python"), "-m", "mlflow"), receipt["version"], "cache")


def kafka_arguments(folder: Path, jars: list[str]) -> tuple[str, ...]:
    """What Java is given to run a class of Kafka's; the class path is spelled out, as the archive knows its order."""
    archive = folder / catalogue.KAFKA_ARCHIVE
    shared = (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()
    return (*catalogue.JAVA_FLAGS, *shared, "-cp", os.pathsep.join(f"{folder}/jars/{name}" for name in jars))


def _interpreter(name: str, folder_name: str) -> Program | None:
    folder = folders.checkout() / folder_name
    python = folder / "bin" / "python"
    stamp = store.read_json(folder / store.RECEIPT)
    if not python.exists():
        return None
    return _program(name, (str(python),), stamp["python"] if stamp else "", "checkout")


def _program(
    name: str, argv: tuple[str, ...], version: str, source: Source, env: Mapping[str, str] | None = None
) -> Program:
    licence = catalogue.TOOLS[name].licence or catalogue.redis_licence(version, valkey=is_valkey(argv[0]))
    return Program(name, argv, version, licence, source, env or {})


def on_path(name: str) -> dict[str, Any] | None:
    """What bootstrap wrote down of the program `name` on PATH, if that is still the same file."""
    path = shutil.which(name)
    if path is None:
        return None
    entry = (store.read_json(folders.installed() / ON_PATH) or {}).get(name)
    return entry if entry and entry["path"] == path and entry["identity"] == identity(path) else None


def note_on_path(name: str, version_of: Callable[[str], str]) -> None:
    """Write down the version of the program `name` on PATH, or forget the one that was there; asks it only once."""
    path = shutil.which(name)
    book = store.read_json(folders.installed() / ON_PATH) or {}
    if path is None or on_path(name):
        return
    version = version_of(path)
    if version:
        book[name] = {"path": path, "identity": identity(path), "version": version}
        store.write_json(folders.installed() / ON_PATH, book)


def identity(path: str) -> list[int]:
    """Size in bytes and time of change in nanoseconds: what tells one build of a program from the next."""
    about = Path(path).stat()
    return [about.st_size, about.st_mtime_ns]


_FINDERS = {
    "python-infra": lambda: _interpreter("python-infra", ".venv"),
    "python-runtime": lambda: _interpreter("python-runtime", ".venv-runtime"),
    "pulumi": _pulumi,
    "pulumi-language-python": _language_host,
    "seaweedfs": lambda: _server("seaweedfs"),
    "fake-gcs-server": lambda: _server("fake-gcs-server"),
    "redis-server": _redis,
    "postgres": lambda: _server("postgres"),
    "java": lambda: _server("java"),
    "kafka": _kafka,
    "mlflow": _mlflow,
}
