"""boto3 clients for one bucket, from settings."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from adapters import missing
from adapters.drivers.storage.sockets import pools, stall_seconds
from adapters.errors import Denied, Invalid
from adapters.settings import reveal

if TYPE_CHECKING:
    from obstore.store import S3Store

    from adapters.settings import StorageSettings

try:
    import boto3
    from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
    from botocore.config import Config
except ImportError as error:
    raise missing("boto3", extra="aws") from error

CONNECTIONS: Final = 64
CONNECT_SECONDS: Final = 3.0
PART_ATTEMPTS: Final = 3
CURE: Final = "set storage.access_key and storage.secret_key, or log in"


class Clients:
    """Two clients of one session: one sends every request once, because `adapters.retry` repeats whole operations; the
    other repeats parts of an upload as the SDK does, because a part is all that has to be sent again."""

    def __init__(self, settings: StorageSettings) -> None:
        if not settings.bucket:
            raise Invalid("no bucket is set", name="storage.bucket", cure="`isthmus up` writes it")
        self.settings = settings
        access_key, secret_key = reveal(settings.access_key), reveal(settings.secret_key)
        if bool(access_key) != bool(secret_key):
            raise Invalid("set both of access_key and secret_key, or neither", name="storage")
        self.session = boto3.Session(
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=settings.region or ("us-east-1" if settings.endpoint else None),
        )
        self.once: Any = self._client(attempts=1)

    @cached_property
    def parts(self) -> Any:
        """The client whose requests are repeated a few times."""
        return self._client(attempts=PART_ATTEMPTS)

    def _client(self, attempts: int) -> Any:
        compatible = bool(self.settings.endpoint)
        # By name of the host, or signed URLs would be of a host that redirects away from their signature.
        by_path = compatible or "." in self.settings.bucket
        # Stores other than AWS often refuse the trailing checksums that the SDK adds by default.
        checksums: Any = "when_required" if compatible else "when_supported"
        client: Any = self.session.client(
            "s3",
            endpoint_url=self.settings.endpoint or None,
            verify=self.settings.ca_file or None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if by_path else "virtual"},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=CONNECTIONS,
                connect_timeout=min(CONNECT_SECONDS, self.settings.timeout_seconds),
                read_timeout=stall_seconds(self.settings),
                tcp_keepalive=True,
                parameter_validation=False,  # `rules` did it, and it costs a twentieth of a call
            ),
        )
        # botocore has no setting for the classes of its connections.
        client._endpoint.http_session._manager.pool_classes_by_scheme = pools(
            stall_seconds(self.settings), AWSHTTPConnectionPool, AWSHTTPSConnectionPool
        )
        return client

    def close(self) -> None:
        """Free the connections."""
        self.once.close()
        if "parts" in self.__dict__:
            self.parts.close()


def bulk_store(clients: Clients) -> S3Store:
    """The same bucket for obstore, with the session's credentials. Raises Denied where it finds none."""
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    from adapters.drivers.storage.bulk import bulk_client

    settings = clients.settings
    try:
        provider = Boto3CredentialProvider(clients.session)
    except ValueError as error:
        raise Denied("no credentials were found", name=settings.bucket, cure=CURE) from error
    place: dict[str, Any] = {"endpoint": settings.endpoint} if settings.endpoint else {}
    return S3Store(
        settings.bucket,
        **place,
        region=clients.once.meta.region_name,
        virtual_hosted_style_request=not settings.endpoint and "." not in settings.bucket,
        credential_provider=provider,
        client_options=bulk_client(settings, CONNECT_SECONDS),
        retry_config={"max_retries": 0},
    )
