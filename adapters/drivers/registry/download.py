"""A version's files: one as bytes, or all of them in a local folder, checked, or none."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from pathlib import Path

from adapters.drivers.registry import names
from adapters.drivers.registry.blobs import Blobs
from adapters.errors import Conflict, NotFound
from adapters.ports import Artifact, ModelVersion


def label(version: ModelVersion, artifact: Artifact) -> str:
    """What an error calls this file."""
    return f"{version.model} version {version.version}, file {artifact.name}"


def read(blobs: Blobs, version: ModelVersion, name: str) -> bytes:
    """One file, checked. Raises NotFound, which names the files there are, or Corrupt."""
    for artifact in version.artifacts:
        if artifact.name == name:
            return blobs.read(artifact, label=label(version, artifact))
    known = ", ".join(artifact.name for artifact in version.artifacts)
    raise NotFound(f"no file {name!r} in version {version.version}", name=version.model, cure=f"it has {known}")


def download(blobs: Blobs, version: ModelVersion, folder: Path) -> Path:
    """See `LoggedRegistry.download`. Several processes may do this at once: one folder appears, all verify it."""
    if folder.exists() and any(folder.iterdir()):
        return _verified(version, folder)
    names.check_files(artifact.name for artifact in version.artifacts)  # they become paths of this machine
    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    staged.mkdir(parents=True)
    try:
        for artifact in version.artifacts:
            target = staged / artifact.name
            target.parent.mkdir(parents=True, exist_ok=True)
            blobs.fetch(artifact, target, label=label(version, artifact))
        try:
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            return _verified(version, folder)  # another process was first
    finally:
        shutil.rmtree(staged, ignore_errors=True)  # gone already when it was renamed
    return folder


def _verified(version: ModelVersion, folder: Path) -> Path:
    expected = {artifact.name: artifact.sha256 for artifact in version.artifacts}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected or _sha256(found[name]) != expected[name]:
            raise Conflict(
                f"the folder is there, but its {name!r} is not as in {version.model} version {version.version}",
                name=str(folder),
                cure="remove the folder, or name another",
            )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
