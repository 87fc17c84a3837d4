"""Names of secrets that every cloud takes, so that a name which works here works there."""

from __future__ import annotations

import re

from adapters.errors import Invalid

# Kubernetes allows no underscore and no capital, GCP no dot; 128 leaves room for a prefix everywhere.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")


def checked(name: str) -> str:
    """`name`. Raises Invalid unless it is 1 to 128 lower-case letters, digits and inner hyphens."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise Invalid(
        f"no name of a secret: {name!r:.140}",
        cure="use 1 to 128 lower-case letters, digits and inner hyphens; what else a cloud wants goes into secrets.prefix",
    )


def text(body: bytes) -> str | None:
    """The value as text, None where it is no UTF-8.

    The decoder's error holds the bytes, and an error raised while it is handled would carry it along: so it ends here.
    """
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
