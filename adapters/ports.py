"""The ports: what the runtime may ask of a cloud, and what each answer promises.

A port is a Protocol. Its docstrings are the contract; `adapters.conformance` holds one test per promise and every driver
passes the same suite. Where a server cannot keep a promise the driver leaves the `Capability` out and raises `Unsupported`.
Ask for the smallest port that does the job: `def warm(store: ObjectReader, keys: Iterable[str]) -> int`.

Sync on purpose: the native SDKs underneath are, and a port adds no thread, no copy and no retry of its own.
All methods may be called from several threads at once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NewType, Protocol, TypeAlias, runtime_checkable

Body: TypeAlias = bytes | bytearray | memoryview

# --------------------------------------------------------------------------------------------------- object storage

Version = NewType("Version", str)
"""Opaque: an ETag on S3, a generation on GCS. Compare for equality only; it is good for one key of one store."""

ABSENT = Version("")
"""As `if_version`: write only if no object has this key."""


class StorageClass(enum.StrEnum):
    """Tiers by intent; each cloud's driver says which of its classes that is."""

    HOT = "hot"
    """Read often, milliseconds, dearest to keep (S3 STANDARD, GCS STANDARD)."""
    WARM = "warm"
    """Read now and then, milliseconds, a fee per read (STANDARD_IA, NEARLINE)."""
    COLD = "cold"
    """Read hardly ever, milliseconds, a dear fee per read (GLACIER_IR, COLDLINE)."""


class Capability(enum.StrEnum):
    """What a driver may lack. Absent here means the method raises `Unsupported`, at once and always."""

    PRESIGN = "presign"
    TAGS = "tags"
    STORAGE_CLASS = "storage_class"
    CONDITIONAL_DELETE = "conditional_delete"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without its body. `list` fills key, size, version, modified and class only."""

    key: str
    size_bytes: int
    version: Version
    modified: datetime
    storage_class: StorageClass = StorageClass.HOT
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Object:
    """A body and the exact version it is of, from one answer of the server."""

    body: bytes
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in the keys' UTF-8 order. `cursor` is None on the last page; otherwise pass it back."""

    objects: tuple[ObjectInfo, ...]
    folders: tuple[str, ...] = ()
    cursor: str | None = None


@runtime_checkable
class ObjectReader(Protocol):
    """Read-only object storage. A read that begins after a write was acknowledged sees it or a later one."""

    def get(self, key: str) -> Object:
        """The whole object and its version. Raises NotFound, Denied or Transient."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes `[start, start + length)`; fewer where the object ends, none when `start` is its size or beyond.

        Raises NotFound, or Invalid when `start` or `length` is negative.
        """
        ...

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        """The body in chunks of at most `chunk_bytes`, holding no more than one in memory.

        All chunks are of one version: an overwrite in the middle raises Conflict rather than mix two. Raises NotFound
        before the first chunk.
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Everything but the body. Raises NotFound."""
        ...

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        """Up to `limit` (1 to 1000) objects whose keys begin with `prefix`.

        With a `delimiter`, keys holding it after the prefix are folded into `folders` (each once, ending in it).
        """
        ...

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        """Each object in the order asked, fetched in parallel, a bounded number ahead. Raises NotFound at a missing one."""
        ...


@runtime_checkable
class ObjectStorage(ObjectReader, Protocol):
    """Object storage that can be written. Keys are 1 to 1024 bytes of UTF-8 without control characters."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this store can do beyond the common ground."""
        ...

    def put(
        self,
        key: str,
        body: Body,
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        """Store `body` under `key`, all or nothing: readers see the old object or the new one, never a part.

        `if_version` makes it a compare-and-swap: it is written only if that is the stored version (`ABSENT`: only if
        there is none), and of several writers that name one version exactly one wins. Metadata keys are lower-case ASCII.
        Raises Conflict, Denied, Invalid or Transient (then it may or may not be stored).
        """
        ...

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Body],
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        """As `put`, for a body of unknown size: uploaded in parts, visible only once complete.

        When `chunks` raises, nothing becomes visible, the parts are removed, and the error passes through.
        """
        ...

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        """Remove the object; an absent key is no error. With `if_version`, Conflict unless that is what is stored."""
        ...

    def copy(self, source: str, target: str) -> Version:
        """Copy inside the store, body, content type and metadata, without passing through this process. Raises NotFound."""
        ...

    def put_many(self, items: Iterable[tuple[str, Body]]) -> list[Version]:
        """Store each item in parallel; versions in the order given. Not atomic over the items: on an error some are stored."""
        ...

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        """A URL by which anyone may GET or PUT this key until it expires. Needs `Capability.PRESIGN`."""
        ...

    def tags(self, key: str) -> dict[str, str]:
        """The object's tags. Needs `Capability.TAGS`. Raises NotFound."""
        ...

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace all tags (at most 10); body and version stay as they are. Needs `Capability.TAGS`. Raises NotFound."""
        ...

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        """Move the object to another tier; body and metadata stay. Needs `Capability.STORAGE_CLASS`. Raises NotFound."""
        ...

    def sweep_uploads(self, *, older_than_seconds: float) -> int:
        """Remove parts of uploads that were never completed and are older; how many uploads. Visible objects stay."""
        ...


# ---------------------------------------------------------------------------------------------------- message queue


@dataclass(frozen=True, slots=True)
class Record:
    """A message to publish. Equal keys of one topic keep their order; `id` survives redelivery and is made when empty."""

    value: bytes
    key: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log: the record at `offset` (from 0) of `partition` of `topic`."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Message:
    """A received record. `attempt` counts deliveries to this group from 1; `id` is the publisher's."""

    id: str
    value: bytes
    key: bytes | None
    headers: Mapping[str, str]
    position: Position
    timestamp: datetime
    attempt: int = 1


class Subscription(Protocol):
    """One member of a consumer group. Not shared between threads. Closing it returns what was not acknowledged."""

    def receive(self, *, limit: int = 500, timeout_seconds: float = 1.0) -> list[Message]:
        """Up to `limit` messages; at once when some are there, else empty after the timeout.

        At least once: what is not acknowledged is delivered again, to this member or, when it is gone, another.
        Of one key, a message comes only after all before it, unless those were nacked with a delay.
        """
        ...

    def ack(self, messages: Iterable[Message]) -> None:
        """These are done and will not come again once `commit`, `receive` or `close` has returned. In any order.

        Of a message whose partition has meanwhile gone to another member nothing is recorded: it will come again there.
        """
        ...

    def commit(self) -> None:
        """Make all acknowledgements so far durable now. Raises Transient."""
        ...

    def nack(self, message: Message, *, delay_seconds: float = 0.0, reason: str = "") -> None:
        """Deliver it again, not before the delay, with `attempt` one higher; dead-lettered when attempts are used up."""
        ...

    def dead_letter(self, message: Message, reason: str) -> None:
        """Publish it to `<topic>.dlq` with its id, key, headers, position, attempts and `reason`, then acknowledge it."""
        ...

    def seek(self, position: Position) -> None:
        """Continue at this position. Raises Invalid when its partition is not assigned to this member."""
        ...

    def assigned(self) -> list[tuple[str, int]]:
        """The (topic, partition) pairs now assigned to this member."""
        ...

    def close(self) -> None:
        """Commit what was acknowledged and leave the group, so that others take over at once."""
        ...

    def __enter__(self) -> Subscription: ...
    def __exit__(self, *exc: object) -> None: ...


class MessageQueue(Protocol):
    """A partitioned, replayable log with consumer groups."""

    def publish(self, topic: str, records: Sequence[Record], *, timeout_seconds: float = 30.0) -> list[Position]:
        """Append all; returns once every one is acknowledged by all in-sync replicas, positions in the order given.

        The producer is idempotent: its own retries store nothing twice and keep the order per key. Raises NotFound for
        an unknown topic, Invalid for a record past the size limit, Transient or DeadlineExceeded (some may be stored).
        """
        ...

    def subscribe(
        self, topics: Sequence[str], *, group: str, start: str = "earliest", max_attempts: int = 5
    ) -> Subscription:
        """Join `group`. A new group starts at the `earliest` or `latest` record. Raises NotFound for an unknown topic."""
        ...

    def create_topic(self, topic: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make the topic; one that is there with as many partitions is no error, otherwise Conflict."""
        ...

    def delete_topic(self, topic: str) -> None:
        """Remove the topic and its records; an absent one is no error."""
        ...

    def lag(self, topic: str, *, group: str) -> int:
        """Records not yet committed by the group over all partitions; of a group that never committed, all there are."""
        ...

    def ends(self, topic: str) -> list[Position]:
        """The position after the newest record, per partition."""
        ...

    def at(self, topic: str, when: datetime) -> list[Position]:
        """Per partition, the first position whose timestamp is `when` or later (the end where there is none)."""
        ...

    def close(self) -> None:
        """Flush what was published and free the connections."""
        ...


# -------------------------------------------------------------------------------------------------------- key-value


@dataclass(frozen=True, slots=True)
class Script:
    """An atomic operation on one slot: Lua for Redis and its Python twin for the in-memory store, under one name.

    `python(read, write, keys, args)` gets `read(key) -> bytes | None` and `write(key, bytes | None)`; both return
    the script's answer as bytes, an int or None. The conformance suite runs both against the same cases.
    """

    name: str
    lua: str
    python: Any


class KeyValue(Protocol):
    """Fast and losable: everything in it can be rebuilt from elsewhere. Keys are text, values bytes.

    Calls on several keys must stay in one slot: give keys that belong together one `{tag}`.
    """

    def get(self, key: str) -> bytes | None:
        """The value, or None when absent or expired. Raises Transient."""
        ...

    def set(self, key: str, value: bytes, *, ttl_seconds: float | None = None) -> None:
        """Store; with a TTL (to the millisecond) the key is gone after it. Without one an earlier TTL is dropped."""
        ...

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """One round trip per slot; values in the order asked, None where absent."""
        ...

    def set_many(self, items: Mapping[str, bytes], *, ttl_seconds: float | None = None) -> None:
        """Store all, atomically per slot."""
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """How many of them existed and are gone now."""
        ...

    def compare_and_set(
        self, key: str, *, expected: bytes | None, value: bytes | None, ttl_seconds: float | None = None
    ) -> bool:
        """Atomically: if the value is `expected` (None: absent), make it `value` (None: delete it). Whether it did."""
        ...

    def increment(self, key: str, by: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a decimal integer (absent is 0) and return the sum. A TTL is set only when the key is new.

        Raises Invalid when the value is not an integer.
        """
        ...

    def run(self, script: Script, *, keys: Sequence[str], args: Sequence[bytes | int | str] = ()) -> Any:
        """Run the script atomically over `keys` of one slot."""
        ...

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with `prefix`: each that is there throughout at least once, in no order, without blocking."""
        ...

    def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------------------- secrets


class Secrets(Protocol):
    """Secret values by name. They are never logged, never part of an error's text, never in settings."""

    def get(self, name: str) -> str:
        """The newest value. Raises NotFound or Denied (neither holds any part of a value)."""
        ...


# --------------------------------------------------------------------------------------------------------- database


class Database(Protocol):
    """A relational database that workflows and ledgers live in: SQLite for one process, PostgreSQL for many."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, password included: never print it."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A serializable transaction: committed when the block ends, rolled back when it raises.

        Raises Conflict when it lost against a concurrent one (run it again), Transient when the server is away.
        """
        ...

    def close(self) -> None: ...


class Transaction(Protocol):
    """Statements of one transaction. Parameters are named, `:name`, never pasted into the text."""

    def execute(self, statement: str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] = ()) -> int:
        """Run it, once per mapping where several are given; how many rows it changed. Raises Conflict on a broken constraint."""
        ...

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows, each a column name to value mapping."""
        ...


# --------------------------------------------------------------------------------------------------- model registry


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a model version: its name inside the version, size and lower-case hexadecimal SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. All but `tags` and `aliases` never change. `version` counts from 1 per model."""

    model: str
    version: int
    artifacts: tuple[Artifact, ...]
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    lineage: Mapping[str, str]
    created: datetime
    digest: str
    """SHA-256 over the artifacts' names and digests: equal bytes have equal digests on every cloud."""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class ModelRegistry(Protocol):
    """Immutable versions of models, with aliases and tags that move. The vocabulary is MLflow's."""

    def register(
        self,
        model: str,
        files: Mapping[str, Body | Path],
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        lineage: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """A new version, the next number; visible only once all its files are stored. Concurrent callers get different ones."""
        ...

    def get(self, model: str, version: int | str) -> ModelVersion:
        """By number, or by alias as text. Raises NotFound, which names the aliases there are."""
        ...

    def read(self, version: ModelVersion, name: str) -> bytes:
        """One artifact, its digest verified. Raises Corrupt (naming model, version, file and both digests) or NotFound."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """All its files in `folder`, streamed and verified; it appears whole or not at all.

        Raises Corrupt, NotFound, or Conflict when the folder holds anything else.
        """
        ...

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first. Raises NotFound for an unknown model."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None = -1) -> int:
        """Point the alias at a version (None removes it) and return the change's epoch, which only grows per model.

        With `expected` (a number, or None for "not set") it is a compare-and-swap: Conflict unless that is where the
        alias points, and of several callers one wins. -1 takes whatever is there.
        """
        ...

    def set_tags(self, model: str, version: int, tags: Mapping[str, str | None]) -> int:
        """Merge the tags (None removes one); the change's epoch."""
        ...

    def search(self, expression: str = "") -> list[ModelVersion]:
        """Versions that match, such as `metrics.accuracy > 0.9 and tags.team = 'risk'`, newest first. Raises Invalid."""
        ...

    def epoch(self, model: str) -> int:
        """The number of the newest change: unchanged means nothing about the model changed. Raises NotFound."""
        ...


# --------------------------------------------------------------------------------------------------------- launcher


class TaskState(enum.StrEnum):
    """Where a task is. The last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Task:
    """A command to run to its end in the runtime's environment. `name` is unique and makes `launch` idempotent."""

    name: str
    module: str
    """The Python module to run, such as `runtime.train.main`."""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cpu: float = 1.0
    memory_bytes: int = 1 << 30
    gpus: int = 0
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task now. `exit_code` is set in a final state: negative is the signal that ended it."""

    state: TaskState
    exit_code: int | None = None
    reason: str = ""


class Launcher(Protocol):
    """Starts tasks where this platform runs them: processes here, Jobs on Kubernetes."""

    def launch(self, task: Task) -> None:
        """Start it; the same name and content again is no second start, other content is Conflict."""
        ...

    def status(self, name: str) -> TaskStatus:
        """Raises NotFound."""
        ...

    def stop(self, name: str, *, grace_seconds: float = 30.0) -> None:
        """SIGTERM, then after the grace SIGKILL; final when it returns. Of a finished task nothing changes."""
        ...

    def logs(self, name: str, *, tail: int = 200) -> list[str]:
        """The last lines of its output, oldest first. Raises NotFound."""
        ...
