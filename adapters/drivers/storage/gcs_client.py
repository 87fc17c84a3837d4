"""google-cloud-storage's client for one bucket, from settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from adapters import missing
from adapters.drivers.storage.sockets import pools, stall_seconds
from adapters.errors import Invalid
from adapters.settings import reveal

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.storage import Client
    from obstore.store import GCSCredential, GCSStore

    from adapters.settings import StorageSettings

try:
    from google.api_core.exceptions import RequestRangeNotSatisfiable
    from google.api_core.retry import Retry
    from google.auth.credentials import AnonymousCredentials, Signing
    from google.cloud import storage
    from google.cloud.storage import Blob
    from google.cloud.storage.retry import DEFAULT_RETRY
    from requests.adapters import HTTPAdapter
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
except ImportError as error:
    raise missing("google-cloud-storage", extra="gcp") from error

__all__ = ["Blob", "RequestRangeNotSatisfiable", "Signing", "bulk_store", "client", "part_retry", "timeouts"]

CONNECTIONS: Final = 64
CONNECT_SECONDS: Final = 3.0


def client(settings: StorageSettings) -> Client:
    """A client of the settings' project. An emulator's endpoint is talked to without credentials."""
    if not settings.bucket:
        raise Invalid("no bucket is set", name="storage.bucket", cure="`isthmus up` writes it")
    options: Any = {"api_endpoint": settings.endpoint} if settings.endpoint else None
    made: Any = storage.Client(
        project=settings.project or None, credentials=credentials(settings), client_options=options
    )
    # It would ask for the bucket's own record in a thread, for traces, with a right that who reads objects need not have.
    made._bucket_metadata_cache = None
    session = made._http  # the library offers no other way to size the pool
    for scheme in ("https://", "http://"):
        adapter = HTTPAdapter(pool_maxsize=CONNECTIONS)
        adapter.poolmanager.pool_classes_by_scheme = pools(
            stall_seconds(settings), HTTPConnectionPool, HTTPSConnectionPool
        )
        session.mount(scheme, adapter)
    if settings.ca_file:
        session.verify = settings.ca_file
    return made


def credentials(settings: StorageSettings) -> Credentials | None:
    """Of the service account whose key `secret_key` refers to; none for an emulator; else the library's own search."""
    document = reveal(settings.secret_key)
    if document is None:
        return AnonymousCredentials() if settings.endpoint else None
    from google.oauth2.service_account import Credentials as ServiceAccount

    try:
        return ServiceAccount.from_service_account_info(json.loads(document), scopes=SCOPES)
    except ValueError as error:
        raise Invalid("not the JSON key of a service account", name="storage.secret_key") from error


def timeouts(settings: StorageSettings) -> tuple[float, float]:
    """Seconds to connect and seconds without a byte, per request."""
    return min(CONNECT_SECONDS, settings.timeout_seconds), stall_seconds(settings)


def part_retry(settings: StorageSettings) -> Retry:
    """The library's own repetition for parts of an upload, whose offset makes each of them idempotent."""
    return DEFAULT_RETRY.with_timeout(settings.timeout_seconds / 2).with_delay(initial=0.1, maximum=2.0, multiplier=2.0)


def bulk_store(client: Client, settings: StorageSettings) -> GCSStore:
    """The same bucket for obstore, with the client's credentials."""
    from obstore.auth.google import GoogleCredentialProvider
    from obstore.store import GCSStore

    from adapters.drivers.storage.bulk import bulk_client

    known: Any = client._credentials
    place: Any = {"base_url": settings.endpoint} if settings.endpoint else {}
    return GCSStore(
        settings.bucket,
        **place,
        credential_provider=nobody if isinstance(known, AnonymousCredentials) else GoogleCredentialProvider(known),
        client_options=bulk_client(settings, CONNECT_SECONDS),
        retry_config={"max_retries": 0},
    )


def nobody() -> GCSCredential:
    """Credentials for an emulator, which looks at none."""
    return {"token": "anonymous", "expires_at": None}


SCOPES: Final = ("https://www.googleapis.com/auth/devstorage.read_write",)
