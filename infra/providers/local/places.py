"""Where one process keeps its things: a folder of its own under `$ISTHMUS_HOME/run/<project>/<stack>/`."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tools
from infra.providers.base import ProviderError

_ID = re.compile(r"(?!\.)[A-Za-z0-9_.-]+/(?!\.)[A-Za-z0-9_.-]+/(?!\.)[A-Za-z0-9_.-]+\Z")
_LOCK_WAIT_SECONDS = 60.0
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Place:
    """The folder of one process, private to the user: record, log, files, secrets, data."""

    id: str
    dir: Path

    @classmethod
    def of(cls, identifier: str, home: Path | None = None) -> Place:
        """The place of a resource id, `project/stack/name-digest`; raises ProviderError for anything else."""
        if not _ID.match(identifier):
            raise ProviderError(f"{identifier!r} is not the id of a local process: expected project/stack/name-digest")
        return cls(identifier, run_folder(home) / identifier)

    @property
    def data(self) -> Path:
        """What the process keeps over restarts."""
        return self.dir / "data"

    @property
    def log(self) -> Path:
        """Its standard output and standard error."""
        return self.dir / "log"

    @property
    def record(self) -> Path:
        """What was started here; see `records`."""
        return self.dir / "record.json"

    @property
    def setup_done(self) -> Path:
        """There once the set-up commands have succeeded on the data."""
        return self.dir / "setup.done"

    def file(self, name: str) -> Path:
        """A rendered file."""
        return self.dir / "files" / name

    def secret(self, name: str) -> Path:
        """A generated secret."""
        return self.dir / "secrets" / name

    def prepare(self) -> None:
        """Make the folders, readable by nobody else."""
        if not self.data.exists():
            (self.dir / "data.id").unlink(missing_ok=True)
            self.setup_done.unlink(missing_ok=True)
        for folder in (self.dir, self.dir / "files", self.dir / "secrets", self.data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.dir.chmod(0o700)

    def data_id(self) -> str:
        """Names this data folder: another one when the data was lost, so that what lived in it is made again."""
        path = self.dir / "data.id"
        if not path.exists():
            write_private(path, secrets.token_hex(8))
        return path.read_text()

    def secret_values(self, names: list[str]) -> dict[str, str]:
        """The secrets `names`, generated on first use."""
        for name in names:
            if not self.secret(name).exists():
                write_private(self.secret(name), secrets.token_urlsafe(_SECRET_BYTES))
        return {name: self.secret(name).read_text() for name in names}

    def forget(self, keep_data: bool) -> None:
        """Remove the record and, unless `keep_data`, everything else."""
        self.record.unlink(missing_ok=True)
        if keep_data:
            shutil.rmtree(self.dir / "files", ignore_errors=True)
            return
        shutil.rmtree(self.dir, ignore_errors=True)
        for empty in (self.dir.parent, self.dir.parent.parent):
            try:
                empty.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
                    raise
                return

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else starts or ends this process meanwhile; raises ProviderError after a minute of waiting."""
        folder = run_folder_of(self) / ".locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / hashlib.sha256(self.id.encode()).hexdigest()[:16], os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _lock(handle, self.id)
            yield
        finally:
            os.close(handle)


def run_folder(home: Path | None = None) -> Path:
    """Where all places are."""
    return (home if home is not None else tools.home()) / "run"


def run_folder_of(place: Place) -> Path:
    """The `run` folder that holds `place`."""
    return place.dir.parent.parent.parent


def identifier(urn: str, stack: str, name: str) -> str:
    """The id of the process with `urn`: readable, and distinct for two of one name under different parents."""
    digest = hashlib.sha256(urn.encode()).hexdigest()[:8]
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40].strip("-") or "process"
    project, _, stack_name = stack.partition("/")
    clean = [re.sub(r"[^A-Za-z0-9_-]+", "-", part) or "-" for part in (project, stack_name)]
    return f"{clean[0]}/{clean[1]}/{safe}-{digest}"


def write_private(path: Path, text: str) -> None:
    """Write `path` whole or not at all, readable by nobody else."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        # Renamed before it is on the disk, it would be an empty file after a power cut.
        os.fsync(handle)
    partial.replace(path)


def _lock(handle: int, name: str) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ProviderError(f"{name} is being started or ended by another run: wait for that one") from None
            time.sleep(0.05)
