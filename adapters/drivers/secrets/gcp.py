"""Google Secret Manager through Google's own client and credential chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters import missing
from adapters.drivers.secrets import names
from adapters.drivers.secrets.unlogged import guard, unlogged
from adapters.errors import AdapterError, Corrupt, DeadlineExceeded, Denied, Invalid, NotFound, Transient
from adapters.settings import SecretsSettings

try:
    import google_crc32c
    import grpc
    from google.api_core import exceptions as native
    from google.api_core.retry import Retry, if_exception_type
    from google.auth import exceptions as auth
    from google.cloud import secretmanager_v1
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import grpc as transport
except ImportError as error:
    raise missing("google-cloud-secret-manager", extra="gcp") from error

TIMEOUT_SECONDS = 10.0
RETRY = Retry(
    predicate=if_exception_type(native.ServiceUnavailable, native.ResourceExhausted),
    initial=0.1,
    maximum=1.0,
    timeout=3.0,
)
LOGIN = "check this process's service account: it needs roles/secretmanager.secretAccessor"

# The first row that fits decides.
TABLE: tuple[tuple[tuple[type[Exception], ...], type[AdapterError], str], ...] = (
    ((native.NotFound,), NotFound, "create it, or check secrets.prefix and secrets.project"),
    ((native.FailedPrecondition,), NotFound, "its newest version is disabled or destroyed: add a version"),
    ((native.PermissionDenied, native.Unauthenticated, native.Forbidden), Denied, LOGIN),
    ((auth.GoogleAuthError,), Denied, LOGIN),
    ((native.DeadlineExceeded,), DeadlineExceeded, ""),
    ((native.InvalidArgument,), Invalid, "check secrets.prefix and secrets.project"),
    ((native.GoogleAPIError,), Transient, "check secrets.endpoint and the network"),
)


def open(section: SecretsSettings) -> GcpSecrets:
    """Secret Manager of `section.project`. An `http://` endpoint is an emulator and is asked without credentials."""
    if not section.project:
        raise Invalid("no project is named", name="secrets.project", cure="set ISTHMUS_SECRETS_PROJECT")
    guard(transport.__name__)
    plain = section.endpoint.removeprefix("http://")
    with _translating("secrets"):
        if plain != section.endpoint:
            channel = grpc.insecure_channel(plain.rstrip("/"))
            chosen: dict[str, Any] = {"transport": transport.SecretManagerServiceGrpcTransport(channel=channel)}
        else:
            host = section.endpoint.removeprefix("https://").rstrip("/")
            chosen = {"client_options": {"api_endpoint": host}} if host else {}
        client = secretmanager_v1.SecretManagerServiceClient(**chosen)
    return GcpSecrets(client, f"projects/{section.project}/secrets/{section.prefix}")


class GcpSecrets:
    """The port over one client: the newest version, as text, its checksum verified."""

    def __init__(self, client: secretmanager_v1.SecretManagerServiceClient, parent: str) -> None:
        self._client, self._parent = client, parent

    def get(self, name: str) -> str:
        version = f"{self._parent}{names.checked(name)}/versions/latest"
        with _translating(name), unlogged():
            payload = self._client.access_secret_version(
                request={"name": version}, retry=RETRY, timeout=TIMEOUT_SECONDS
            ).payload
        if "data_crc32c" in payload and payload.data_crc32c != google_crc32c.value(payload.data):
            raise Corrupt("the value does not match its checksum", name=name, cure="ask again, or add a version")
        value = names.text(payload.data)
        if value is None:
            raise Invalid("this secret is not UTF-8 text", name=name, cure="store text")
        return value

    def close(self) -> None:
        """Free the connection."""
        self._client.transport.close()


@contextmanager
def _translating(name: str) -> Iterator[None]:
    try:
        yield
    except (native.GoogleAPIError, auth.GoogleAuthError) as error:
        ours, cure = next((ours, cure) for classes, ours, cure in TABLE if isinstance(error, classes))
        raise ours(str(error), name=name, cure=cure) from error
