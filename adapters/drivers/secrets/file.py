"""Secrets as files of one folder, one a secret, readable by their owner (mode 0600).

    install -m 600 /dev/null secrets/db-password && $EDITOR secrets/db-password

A newline at the end is the editor's and is cut off. The file is read at every `get`, so a new value counts at once.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from adapters.drivers.secrets import names
from adapters.errors import Denied, Invalid, NotFound
from adapters.settings import SecretsSettings

LARGEST_BYTES = 64 << 10
# Others may do nothing; the owner's group may read, which is how services are given a secret.
TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


def open(section: SecretsSettings) -> FileSecrets:
    """The secrets of `section.folder`. Raises Invalid where none is named."""
    if not section.folder:
        raise Invalid(
            "no folder is named", name="secrets.folder", cure="set ISTHMUS_SECRETS_FOLDER or run `isthmus up`"
        )
    if "/" in section.prefix:
        raise Invalid("a prefix cannot name a folder", name="secrets.prefix", cure="name it in secrets.folder")
    return FileSecrets(Path(section.folder), prefix=section.prefix)


class FileSecrets:
    """The files of one folder. With `private` (the default) a file that others may read is refused."""

    def __init__(self, folder: Path, *, prefix: str = "", private: bool = True) -> None:
        self._folder, self._prefix, self._private = folder, prefix, private

    def __repr__(self) -> str:
        return f"FileSecrets({str(self._folder)!r})"

    def get(self, name: str) -> str:
        path = self._folder / (self._prefix + names.checked(name))
        value = names.text(self._read(name, path))
        if value is None:
            raise Invalid("this secret's file is not UTF-8 text", name=name, cure=f"write {path} anew")
        return value.rstrip("\n")

    def _read(self, name: str, path: Path) -> bytes:
        try:
            # Without waiting: a pipe under that name would otherwise hold the caller until somebody writes to it.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise NotFound("no such secret", name=name, cure=f"write it to {path}, mode 0600") from error
        except OSError as error:
            raise Denied(f"cannot read {path}: {error.strerror}", name=name, cure="let this user read it") from error
        try:
            self._check(name, path, os.fstat(descriptor))
            return os.read(descriptor, LARGEST_BYTES)
        finally:
            os.close(descriptor)

    def _check(self, name: str, path: Path, about: os.stat_result) -> None:
        if not stat.S_ISREG(about.st_mode):
            raise Invalid(f"{path} is not a file", name=name, cure="a secret is one file")
        if self._private and about.st_mode & TOO_OPEN:
            mode = stat.S_IMODE(about.st_mode)
            raise Denied(f"{path} has mode {mode:04o}, so others can get at it", name=name, cure=f"chmod 600 {path}")
        if about.st_size > LARGEST_BYTES:
            raise Invalid(f"{path} has {about.st_size} bytes", name=name, cure=f"a secret has at most {LARGEST_BYTES}")
