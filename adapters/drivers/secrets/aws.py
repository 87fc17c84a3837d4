"""AWS Secrets Manager through boto3 and its own credential chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters import missing
from adapters.drivers.secrets import names
from adapters.drivers.secrets.unlogged import guard, unlogged
from adapters.errors import AdapterError, DeadlineExceeded, Denied, Invalid, NotFound, Transient
from adapters.settings import SecretsSettings

try:
    import boto3
    from botocore import exceptions as native
    from botocore.config import Config
except ImportError as error:
    raise missing("boto3", extra="aws") from error

ATTEMPTS = 3
CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
LOGIN = "check this process's AWS role and its policy: secretsmanager:GetSecretValue, and kms:Decrypt for its key"

CODES: dict[str, tuple[type[AdapterError], str]] = {
    "ResourceNotFoundException": (NotFound, "create it, or check secrets.prefix and secrets.region"),
    "InvalidRequestException": (NotFound, "it is being deleted: restore it, or create it anew"),
    "InvalidParameterException": (Invalid, ""),
    "ValidationException": (Invalid, ""),
    "DecryptionFailure": (Denied, LOGIN),
}


def open(section: SecretsSettings) -> AwsSecrets:
    """Secrets Manager of `section.region` (or the SDK's own). Nothing is contacted before the first `get`."""
    guard("botocore.parsers")
    with _translating("secrets"):
        # A session of its own: boto3's default one belongs to the process and is not safe to share between threads.
        client = boto3.Session(region_name=section.region or None).client(
            "secretsmanager",
            endpoint_url=section.endpoint or None,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
            ),
        )
    return AwsSecrets(client, prefix=section.prefix)


class AwsSecrets:
    """The port over one boto3 client: the version staged AWSCURRENT, as text."""

    def __init__(self, client: Any, *, prefix: str = "") -> None:
        self._client, self._prefix = client, prefix

    def get(self, name: str) -> str:
        with _translating(names.checked(name)), unlogged():
            answer = self._client.get_secret_value(SecretId=self._prefix + name)
        value = answer.get("SecretString")
        if value is None:
            value = names.text(answer.get("SecretBinary", b""))
        if value is None:
            raise Invalid("this secret is not UTF-8 text", name=name, cure="store text")
        return value

    def close(self) -> None:
        """Free the connections."""
        self._client.close()


@contextmanager
def _translating(name: str) -> Iterator[None]:
    try:
        yield
    except native.ClientError as error:
        raise _refusal(error, name) from error
    except (native.NoCredentialsError, native.PartialCredentialsError, native.CredentialRetrievalError) as error:
        raise Denied(str(error), name=name, cure="give this process an AWS role") from error
    except (native.ProfileNotFound, native.TokenRetrievalError, native.SSLError) as error:
        raise Denied(str(error), name=name) from error
    except native.ReadTimeoutError as error:
        raise DeadlineExceeded(str(error), name=name) from error
    except (native.HTTPClientError, native.ConnectionError) as error:
        raise Transient(str(error), name=name, cure="check secrets.endpoint, secrets.region and the network") from error
    except native.BotoCoreError as error:
        raise Invalid(str(error), name=name, cure="set secrets.region and secrets.endpoint") from error


def _refusal(error: native.ClientError, name: str) -> AdapterError:
    about = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    code, said = about.get("Code", ""), about.get("Message", "") or "no reason given"
    if code in CODES:
        ours, cure = CODES[code]
        return ours(f"{code}: {said}", name=name, cure=cure)
    if "Throttl" in code or status >= 500 or status == 429:
        return Transient(f"{code}: {said}", name=name)
    # The other refusals of the service are about who asks: AccessDenied, UnrecognizedClient, ExpiredToken, ...
    return Denied(f"{code}: {said}", name=name, cure=LOGIN)
