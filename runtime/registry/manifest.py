"""model.json and samples.json: all that is known of a packaged model besides its weights. No torch here."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.domain.signature import Signature

SCHEMA = 1
WEIGHTS, MANIFEST, SAMPLES = "weights.safetensors", "model.json", "samples.json"


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The torch module to rebuild: `module:Class`, its keyword arguments, and the SHA-256 of the source it was made from."""

    name: str
    config: dict[str, Any]
    source_sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """model.json."""

    model: str
    summary: str
    architecture: Architecture
    signature: Signature
    samples_public: bool = False
    """Whether a server may hand the samples to callers, as examples to try."""
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """samples.json: a few held-out rows, their true targets, and what the model answered when it was packaged.

    Whoever loads the model runs them first: an architecture that changed since, or a machine that computes differently, is
    found before the first request and not by a caller.
    """

    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    targets: list[Any]

    def __len__(self) -> int:
        return len(self.targets)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"


def read_manifest(body: bytes) -> Manifest:
    """Raises ValueError in one sentence when it is not a model.json of this schema."""
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{MANIFEST} cannot be read: {error}") from error
    if manifest.schema != SCHEMA:
        raise ValueError(f"{MANIFEST} has schema {manifest.schema}, this version reads {SCHEMA}")
    return manifest


def read_samples(body: bytes) -> Samples:
    """Raises ValueError in one sentence when it is not a samples.json."""
    try:
        return msgspec.json.decode(body, type=Samples)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{SAMPLES} cannot be read: {error}") from error
