"""What Cloud Storage tells of an object, in the port's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from google.api_core.exceptions import RequestRangeNotSatisfiable
from google.cloud.storage import Blob

from adapters.drivers.storage import rules
from adapters.drivers.storage.gcs_errors import translating
from adapters.errors import Conflict
from adapters.ports import ObjectInfo, StorageClass, Version

CLASSES: Final = {StorageClass.HOT: "STANDARD", StorageClass.WARM: "NEARLINE", StorageClass.COLD: "COLDLINE"}
TIERS: Final = {"NEARLINE": StorageClass.WARM, "COLDLINE": StorageClass.COLD, "ARCHIVE": StorageClass.COLD}
"""Every class that is not HOT."""
UNKNOWN_TIME: Final = datetime.fromtimestamp(0, UTC)


def info(blob: Blob) -> ObjectInfo:
    """Of an object whose metadata was loaded."""
    return ObjectInfo(
        blob.name or "",
        blob.size or 0,
        Version(str(blob.generation)),
        blob.time_created or UNKNOWN_TIME,
        TIERS.get(blob.storage_class or "", StorageClass.HOT),
        blob.content_type or "",
        rules.visible(blob.metadata or {}),
    )


def listed(blob: Blob) -> ObjectInfo:
    """Of an entry of a listing. Read off the server's own words: the library's properties cost four times as much."""
    said = blob._properties
    created = said.get("timeCreated")
    return ObjectInfo(
        said["name"],
        int(said.get("size", 0)),
        Version(said["generation"]),
        datetime.fromisoformat(created) if created else UNKNOWN_TIME,
        TIERS.get(said.get("storageClass", ""), StorageClass.HOT),
    )


def generation(key: str, version: Version | None) -> int | None:
    """A version as the server's precondition: 0 is absence. Raises Conflict for one that no generation can be."""
    if version is None or version.isdecimal():
        return None if version is None else int(version)
    if not version:
        return 0
    raise Conflict(f"version {version!r} is of another kind of store", name=key, cure="read it again and decide anew")


class Answer(Blob):
    """A download that keeps the answer's headers: they tell of the object what would else cost a second request."""

    headers: Mapping[str, str] = {}

    def _extract_headers_from_download(self, response: Any) -> None:
        self.headers = response.headers
        super()._extract_headers_from_download(response)

    def info(self, size_bytes: int, metadata_of: Callable[[str, Version], Mapping[str, str]]) -> ObjectInfo:
        """What is known of the downloaded object; its metadata is asked for when it is looked at."""
        key, version = self.name or "", Version(str(self.generation))
        modified = self.headers.get("Last-Modified")
        return ObjectInfo(
            key,
            size_bytes,
            version,
            parsedate_to_datetime(modified) if modified else UNKNOWN_TIME,
            TIERS.get(self.storage_class or "", StorageClass.HOT),
            self.content_type or "",
            LateMetadata(lambda: metadata_of(key, version)),
        )


class Upload(Blob):
    """An upload that remembers its session, to end it on the server when it is broken off."""

    _session: Any = None

    def _initiate_resumable_upload(self, *args: Any, **options: Any) -> Any:
        self._session = super()._initiate_resumable_upload(*args, **options)
        return self._session

    def end_session(self, timeout: tuple[float, float]) -> None:
        """Have the server forget what it was sent, if a session was begun."""
        if self._session is not None:
            upload, transport = self._session
            transport.delete(upload.upload_url, timeout=timeout)


class PartReader:
    """Parts as the file that the library wants to read from: it asks for as many bytes as a part has."""

    def __init__(self, parts: Iterator[bytes | bytearray]) -> None:
        self._parts = parts
        self._at = 0
        self._rest = memoryview(b"")

    def tell(self) -> int:
        """Bytes handed out."""
        return self._at

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        self._at += len(piece)
        return bytes(piece)


class LateMetadata(Mapping[str, str]):
    """Metadata of one version, fetched when first looked at: the server's answer to a download leaves it out, and
    most who download do not look.

    Looking raises Conflict when that version has been overwritten meanwhile, as well as NotFound, Denied, Transient.
    """

    __slots__ = ("_fetch", "_found")

    def __init__(self, fetch: Callable[[], Mapping[str, str]]) -> None:
        self._fetch = fetch
        self._found: Mapping[str, str] | None = None

    def _items(self) -> Mapping[str, str]:
        if self._found is None:
            self._found = self._fetch()
        return self._found

    def __getitem__(self, name: str) -> str:
        return self._items()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __len__(self) -> int:
        return len(self._items())

    def __repr__(self) -> str:
        return repr(dict(self._found)) if self._found is not None else "{... not fetched}"


class Download:
    """Ranges of one generation, each asked for on condition that it is still what is stored."""

    def __init__(
        self, blob: Callable[[], Answer], chunk_bytes: int, start: int, version: Version | None, options: Any
    ) -> None:
        self._blob, self._chunk_bytes, self._at, self._options = blob, chunk_bytes, start, options
        self._size = 0
        self.version = version or Version("")
        self._ahead: bytes | None = self._fetch()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._ahead = self._ahead, None
        if chunk is None:
            chunk = self._fetch() if self._at < self._size else b""
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Nothing is held between two ranges."""

    def _fetch(self) -> bytes:
        blob = self._blob()
        key = blob.name or ""
        expected = generation(key, self.version) if self.version else None
        with translating(key, swap=expected is not None):
            try:
                chunk = blob.download_as_bytes(
                    start=self._at, end=self._at + self._chunk_bytes - 1, if_generation_match=expected, **self._options
                )
            except RequestRangeNotSatisfiable:
                return b""
        found = Version(str(blob.generation))
        if found != (self.version or found):  # a server that takes no notice of the condition
            raise Conflict("overwritten while it was read", name=key, cure="read it again from the start")
        self.version = found
        self._size = int(blob.headers["Content-Range"].rpartition("/")[2])
        self._at += len(chunk)
        return chunk
