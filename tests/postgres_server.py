"""A real PostgreSQL server for tests, on a free loopback port, with a password, on data of its own.

PostgreSQL refuses to run as root: then it runs as `nobody`, on a copy of its programs where that user cannot reach them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.children import end_with_parent
from tests.deadline import until
from tools import ToolMissing, locate

USER, PASSWORD = "isthmus", "correct-horse-battery"
UNPRIVILEGED = "nobody"
DEBIAN = Path("/usr/lib/postgresql")
ATTEMPTS = 10
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what a test keeps need not outlive the machine
    "shared_buffers": "16MB",
    "max_connections": "40",
}


class PostgresServer:
    """A server that can be stopped and started again on its data and its port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._process: subprocess.Popen[Any] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """As `database.url`, without the password."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def initialize(self) -> None:
        """Make the data folder."""
        password = self._folder / "password"
        password.write_text(PASSWORD)
        done = self._run(
            "initdb", "--pgdata", str(self._folder / "data"), "--username", USER, "--pwfile", str(password),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
        if done.wait(120):
            raise RuntimeError(f"initdb ended with {done.returncode}:\n{self._log()}")

    def start(self) -> None:
        """Start it, on the port it had, and wait until it answers."""
        for _ in range(1 if self.port else ATTEMPTS):
            port = self.port or _free_port()
            options = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(port)}).items()]
            process = self._run("postgres", "-D", str(self._folder / "data"), *options)
            until(lambda: process.poll() is not None or _answers(port), seconds=60, what="PostgreSQL")  # noqa: B023
            if process.poll() is None:
                self._process, self.port = process, port
                return
            if "in use" not in self._log():
                break
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log()}")

    def stop(self) -> None:
        """Cut every connection and end it; of a stopped one nothing changes."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
        self._process = None

    def _run(self, name: str, *args: str) -> subprocess.Popen[Any]:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": UNPRIVILEGED, "group": pwd.getpwnam(UNPRIVILEGED).pw_gid, "extra_groups": []}
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / name), *args],
                cwd=self._folder,
                env=os.environ | {"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,
                **who,
            )

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-3000:]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A fresh server, ready for connections; ended, and its data gone, with the block. Raises ToolMissing."""
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="isthmus-postgres-"))
    try:
        if os.geteuid() == 0:
            programs = _reachable(programs, folder)
            shutil.chown(folder, UNPRIVILEGED)
        server = PostgresServer(programs, folder)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def find_programs() -> Path:
    """The folder with `postgres` and `initdb`: of PATH, of Debian's own place, or of the installed wheel."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    try:
        return Path(locate("postgres").argv[0]).parent
    except (KeyError, ToolMissing) as error:
        raise ToolMissing(
            "PostgreSQL's server is not installed: run `python3 tools/bootstrap.py servers`, or install your system's"
            " package postgresql"
        ) from error


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs where an unprivileged user may run them: where they are, or copied."""
    if all(place.stat().st_mode & 0o001 for place in (programs, *programs.parents)):
        return programs
    package = programs.parents[1]
    copy = folder / "install" / package.name
    shutil.copytree(programs.parent, copy / programs.parent.name, symlinks=True)
    # A wheel's shared libraries lie beside its package, and the programs look for them from where they are themselves.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy.with_name(libraries.name))
    return copy / programs.parent.name / programs.name


def _answers(port: int) -> bool:
    try:
        psycopg.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
