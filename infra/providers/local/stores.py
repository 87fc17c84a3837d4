"""Which kind of local object store is behind an endpoint."""

from __future__ import annotations

from pathlib import Path

from infra.providers.base import ProviderError
from infra.providers.local.store import Store


def open_store(kind: str, endpoint: str, access_key_file: str, secret_key_file: str) -> Store:
    """The store behind `endpoint`. The files hold one key each; GCS, as emulated here, has none."""
    if kind == "gcs":
        from infra.providers.local.gcs import Gcs

        return Gcs(endpoint)
    from infra.providers.local.s3 import S3

    return S3(endpoint, _key(access_key_file, "access_key_file"), _key(secret_key_file, "secret_key_file"))


def _key(path: str, name: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ProviderError(f"{name} {path!r} cannot be read: {error.strerror}") from error
