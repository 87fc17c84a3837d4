"""What every store holds its callers to, so that what one cloud accepts the next one does too.

Checked before anything is sent: a key that one server would refuse and another would quietly change is refused by all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from adapters.errors import Invalid, Unsupported
from adapters.ports import Body, Capability, Version

KEY_BYTES: Final = 1024
METADATA_BYTES: Final = 2048
"""S3's limit, the smallest: keys and values together."""
PAGE: Final = 1000
TAGS: Final = 10
TAG_SIGNS: Final = " +-=._:/@"
EXPIRES_SECONDS: Final = 7 * 24 * 3600
"""The longest that a Signature V4 URL may live."""

WRITER: Final = "isthmus-writer"
"""Metadata key under which a conditional write leaves its nonce. Never shown in `ObjectInfo.metadata`."""
TAGS_KEY: Final = "isthmus-tags"
"""Metadata key under which a store without object tags keeps them, URL-encoded: one key, so that one request replaces
all. Never shown either, and refused as a caller's own metadata on every store."""
HIDDEN: Final = frozenset({WRITER, TAGS_KEY})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_METADATA_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*")
_METADATA_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


def check_key(key: str) -> str:
    """`key`, if every store can hold it. Raises Invalid."""
    if key.isascii() and key.isprintable() and 0 < len(key) <= KEY_BYTES and key[0] != "." and "/." not in key:
        return key  # nearly every key; what follows costs several times as much
    return _check_key(key, what="key")


def check_prefix(prefix: str) -> str:
    """`prefix`, which may be empty and otherwise holds to the rules of keys."""
    return prefix and _check_key(prefix, what="prefix", segments=False)


def _check_key(key: str, *, what: str, segments: bool = True) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise Invalid(f"a {what} is text that can be written as UTF-8", name=ascii(key)) from error
    if not 0 < length <= KEY_BYTES:
        raise Invalid(f"a {what} has 1 to {KEY_BYTES} bytes of UTF-8, this one {length}", name=key[:80])
    if _CONTROL.search(key):
        raise Invalid(f"a {what} has no control characters", name=ascii(key))
    if segments and not {".", ".."}.isdisjoint(key.split("/")):
        raise Invalid("a key has no segment `.` or `..`, which proxies and file systems would resolve", name=key)
    return key


def check_range(key: str, start: int, length: int) -> None:
    """Raises Invalid unless both are 0 or more."""
    if start < 0 or length < 0:
        raise Invalid(f"a range starts at 0 or later and is 0 or longer: got {start}, {length}", name=key)


def check_chunk(key: str, chunk_bytes: int) -> None:
    """Raises Invalid unless at least one byte."""
    if chunk_bytes < 1:
        raise Invalid(f"a chunk has at least 1 byte: got chunk_bytes={chunk_bytes}", name=key)


def check_limit(limit: int) -> None:
    """Raises Invalid unless a page of that many can be asked of every store."""
    if not 1 <= limit <= PAGE:
        raise Invalid(f"limit is 1 to {PAGE}: got {limit}", name="list")


def check_metadata(key: str, metadata: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of `metadata`, if S3's headers and GCS's documents both can carry it unchanged. Raises Invalid."""
    if not metadata:
        return {}
    size = 0
    for name, value in metadata.items():
        if not _METADATA_KEY.fullmatch(name):
            raise Invalid(f"metadata key {name!r} is not lower-case ASCII letters, digits, `.`, `_`, `-`", name=key)
        if name == TAGS_KEY:
            raise Invalid(f"metadata key {name!r} is kept for tags", name=key, cure="call set_tags")
        if not isinstance(value, str) or not _METADATA_VALUE.fullmatch(value):
            raise Invalid(
                f"metadata value of {name!r} is empty, or not printable ASCII text without spaces around it",
                name=key,
                cure="percent-encode it, or keep it in the body",
            )
        size += len(name) + len(value)
    if size > METADATA_BYTES:
        raise Invalid(f"metadata has at most {METADATA_BYTES} bytes, keys and values together: got {size}", name=key)
    return dict(metadata)


def visible(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Metadata as the caller gave it: without the writer's nonce and without tags."""
    if HIDDEN.isdisjoint(metadata):
        return metadata
    return {name: value for name, value in metadata.items() if name not in HIDDEN}


def check_tags(key: str, tags: Mapping[str, str]) -> dict[str, str]:
    """A copy of `tags`, if every store can hold them. Raises Invalid."""
    if len(tags) > TAGS:
        raise Invalid(f"an object has at most {TAGS} tags: got {len(tags)}", name=key)
    for name, value in tags.items():
        if not 0 < len(name) <= 128 or len(value) > 256 or name.startswith("aws:"):
            raise Invalid(f"tag {name!r} is not 1 to 128 characters with a value of at most 256", name=key)
        if not all(character.isalnum() or character in TAG_SIGNS for character in name + value):
            raise Invalid(f"tag {name!r} has more than letters, digits, spaces and {TAG_SIGNS.strip()}", name=key)
    return dict(tags)


def check_presign(key: str, verb: str, expires_seconds: int) -> None:
    """Raises Invalid for another verb than GET and PUT, or an expiry that no signature can have."""
    if verb not in ("GET", "PUT"):
        raise Invalid(f"a URL is signed for GET or PUT: got {verb!r}", name=key)
    if not 1 <= expires_seconds <= EXPIRES_SECONDS:
        raise Invalid(f"expires_seconds is 1 to {EXPIRES_SECONDS}: got {expires_seconds}", name=key)


def check_stored_version(key: str, if_version: Version) -> None:
    """Raises Invalid for ABSENT where only the version of a stored object makes sense."""
    if not if_version:
        raise Invalid("a delete is conditional on the version of an object, not on there being none", name=key)


def solid(body: Body) -> bytes | bytearray:
    """The body as what SDKs accept, copied only where it is a view of something else."""
    if isinstance(body, (bytes, bytearray)):
        return body
    if isinstance(body, memoryview):
        whole = body.obj
        return whole if isinstance(whole, bytes) and len(whole) == body.nbytes and body.contiguous else body.tobytes()
    raise Invalid(f"a body is bytes, bytearray or memoryview: got {type(body).__name__}", cure="encode text first")


def unsupported(capability: Capability, store: str, why: str) -> Unsupported:
    """The error for a capability that `store` lacks."""
    return Unsupported(f"no {capability.value} here: {why}", name=store, cure="ask `capabilities` first")
