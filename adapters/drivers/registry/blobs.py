"""Files of all models by the digest of their bytes: stored once however often registered, checked at every read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.errors import Conflict, Corrupt, Invalid, NotFound, Transient
from adapters.ports import ABSENT, Artifact, Body, ObjectStorage

BLOBS = "registry/blobs/sha256/"
CHUNK_BYTES = 8 << 20
"""Files up to this size are sent whole; larger ones streamed, never more than a chunk in memory."""


def blob_key(sha256: str) -> str:
    """Where the bytes with this digest are."""
    return BLOBS + sha256


class Blobs:
    """Content-addressed files in object storage."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage

    def store(self, name: str, source: Body | Path) -> Artifact:
        """Store the bytes unless they are there. Raises Invalid for an unreadable path, Conflict if it changes."""
        if isinstance(source, Path):
            return self._store_file(name, source)
        if not isinstance(source, (bytes, bytearray, memoryview)):
            raise Invalid(
                f"expected bytes or a pathlib.Path, not {type(source).__name__}", name=name, cure="wrap paths in Path()"
            )
        artifact = Artifact(name, memoryview(source).nbytes, hashlib.sha256(source).hexdigest())
        self._create(artifact, lambda key: self._storage.put(key, source, if_version=ABSENT))
        return artifact

    def read(self, artifact: Artifact, *, label: str) -> bytes:
        """The bytes, checked. Raises Corrupt naming `label` and both digests, or NotFound."""
        try:
            body = self._storage.get(blob_key(artifact.sha256)).body
        except NotFound as error:
            raise _gone(artifact, label) from error
        _verify(artifact, hashlib.sha256(body).hexdigest(), label)
        return body

    def fetch(self, artifact: Artifact, target: Path, *, label: str) -> None:
        """Write the bytes to a new file, a chunk at a time, checked and flushed to disk. Raises as `read`."""
        digest = hashlib.sha256()
        try:
            with target.open("xb") as file:
                for chunk in self._storage.stream(blob_key(artifact.sha256), chunk_bytes=CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except NotFound as error:
            raise _gone(artifact, label) from error
        _verify(artifact, digest.hexdigest(), label)

    def _store_file(self, name: str, path: Path) -> Artifact:
        try:
            with path.open("rb") as file:
                if (size := os.fstat(file.fileno()).st_size) <= CHUNK_BYTES:
                    return self.store(name, file.read())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Invalid(f"cannot read {path}: {error.strerror}", name=name, cure="pass the path of a file") from error
        artifact = Artifact(name, size, digest)
        self._create(artifact, lambda key: self._storage.put_stream(key, FileChunks(path, artifact), if_version=ABSENT))
        return artifact

    def _create(self, artifact: Artifact, write: Callable[[str], object]) -> None:
        key = blob_key(artifact.sha256)
        if self._stored(key, artifact):
            return
        try:
            write(key)
        except (Conflict, Transient):
            # Another registration of the same bytes, or an answer that was lost. What counts is whether they are there.
            if not self._stored(key, artifact):
                raise

    def _stored(self, key: str, artifact: Artifact) -> bool:
        try:
            size = self._storage.head(key).size_bytes
        except NotFound:
            return False
        if size != artifact.size_bytes:
            raise Corrupt(
                f"{artifact.name} has {artifact.size_bytes:,} bytes, but {size:,} are stored under its digest",
                name=key,
                cure="delete this object and register again",
            )
        return True


class FileChunks(Sequence[bytes]):
    """A file's bytes in chunks. A sequence, because an upload of one can be begun again (`adapters.retry`)."""

    def __init__(self, path: Path, expected: Artifact) -> None:
        self._path, self._expected = path, expected

    def __len__(self) -> int:
        return -(-self._expected.size_bytes // CHUNK_BYTES)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        with self._path.open("rb") as file:
            file.seek(range(len(self))[index] * CHUNK_BYTES)
            return file.read(CHUNK_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        """Raises Conflict in place of the end when these are not the expected bytes: the upload must not complete."""
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != self._expected.sha256:
            raise Conflict(
                "the file changed while it was registered", name=str(self._path), cure="register it once it is complete"
            )


def _verify(artifact: Artifact, found: str, label: str) -> None:
    if found != artifact.sha256:
        raise Corrupt(
            f"the stored bytes have SHA-256 {found}, recorded is {artifact.sha256}",
            name=label,
            cure="delete that object and register the same files again, or copy the version from another registry",
        )


def _gone(artifact: Artifact, label: str) -> NotFound:
    return NotFound(
        f"its bytes with SHA-256 {artifact.sha256} are gone", name=label, cure="copy the version from another registry"
    )
