"""The ports: what the runtime may ask of a cloud, and what each answer promises.

A port is a Protocol. Its docstrings are the contract; `adapters.conformance` holds one test per promise and every driver
passes the same suite. Where a server cannot keep a promise the driver leaves the `Capability` out and raises `Unsupported`.
Ask for the smallest port that does the job: `def warm(store: ObjectReader, keys: Iterable[str]) -> int`.

Sync on purpose: the native SDKs underneath are, and a port adds no thread, no copy and no retry of its own.
All methods may be called from several threads at once.
"""

from __future__ import annotations

from adapters.ports.database import Database, Transaction
from adapters.ports.key_value import KeyValue, Script
from adapters.ports.launcher import Launcher, Task, TaskState, TaskStatus
from adapters.ports.queue import Message, MessageQueue, Position, Record, Subscription
from adapters.ports.registry import Artifact, ModelRegistry, ModelVersion
from adapters.ports.secrets import Secrets
from adapters.ports.storage import (
    ABSENT,
    Body,
    Capability,
    Object,
    ObjectInfo,
    ObjectReader,
    ObjectStorage,
    Page,
    StorageClass,
    Version,
)

__all__ = [
    "Database",
    "Transaction",
    "KeyValue",
    "Script",
    "Launcher",
    "Task",
    "TaskState",
    "TaskStatus",
    "Message",
    "MessageQueue",
    "Position",
    "Record",
    "Subscription",
    "Artifact",
    "ModelRegistry",
    "ModelVersion",
    "Secrets",
    "ABSENT",
    "Body",
    "Capability",
    "Object",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStorage",
    "Page",
    "StorageClass",
    "Version",
]
