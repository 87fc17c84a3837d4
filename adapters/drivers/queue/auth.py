"""How a Kafka client proves who it is: passwords, or tokens that are made anew before they expire."""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Any

from adapters import missing
from adapters.errors import Denied, Invalid
from adapters.settings import QueueSettings, reveal

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

log = logging.getLogger(__name__)

Token = tuple[str, float]
"""The token and when it expires, in seconds since the epoch."""
TokenSource = Callable[[], Token]

_PASSWORD_MECHANISMS = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def client_config(section: QueueSettings, *, tokens: TokenSource | None = None) -> dict[str, Any]:
    """What librdkafka needs to connect: brokers, TLS and login. It holds secrets: pass it on, never print it.

    `tokens` takes the place of the cloud's own token source. Raises Invalid for settings that cannot work or that would
    send a secret in the clear, NotFound for a secret that is not there, NotInstalled for a missing library.
    """
    if not section.brokers:
        raise Invalid("no brokers are set", name="queue.brokers", cure="set ISTHMUS_QUEUE_BROKERS=host:port")
    config: dict[str, Any] = {"bootstrap.servers": section.brokers, "security.protocol": _protocol(section, tokens)}
    if section.tls and section.ca_file:
        config["ssl.ca.location"] = section.ca_file
    if tokens is not None or section.auth in ("aws-msk-iam", "gcp-oauth"):
        source = tokens or _token_source(section)
        config |= {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": _Tokens(source)}
    elif section.auth != "none":
        username, password = reveal(section.username), reveal(section.password)
        if username is None or password is None:
            raise Invalid(f"{section.auth} needs a user", name="queue", cure="set queue.username and queue.password")
        config |= {
            "sasl.mechanism": _PASSWORD_MECHANISMS[section.auth],
            "sasl.username": username,
            "sasl.password": password,
        }
    return config


def _protocol(section: QueueSettings, tokens: TokenSource | None) -> str:
    sasl = tokens is not None or section.auth != "none"
    in_the_clear = sasl and not section.tls and not section.auth.startswith("scram")
    if in_the_clear and not all(_is_loopback(each) for each in section.brokers.split(",")):
        raise Invalid(
            f"{section.auth} would send its secret over the network in the clear",
            name="queue.tls",
            cure="set it to true",
        )
    return f"{'SASL_' * sasl}{'SSL' if section.tls else 'PLAINTEXT'}"


def _is_loopback(broker: str) -> bool:
    host = broker.strip().rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Tokens:
    """What librdkafka calls for a token, from a thread of its own: at first, and when 80% of a token's life is over.

    The first is made here, in the caller's thread, so that one who has no credentials hears it at once. When a later one
    cannot be made, the last is given again while it lives, and librdkafka asks again before it ends.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._last = self._make()
        self._asked = False

    def __call__(self, _: str) -> Token:
        if not self._asked:
            self._asked = True
            return self._last
        try:
            self._last = self._make()
        except Denied as error:
            if self._last[1] <= time.time():
                raise
            log.warning("%s; the last token is used on", error)
        return self._last

    def _make(self) -> Token:
        try:
            return self._source()
        except Exception as error:
            # An SDK's own text may quote parts of what it was given.
            text = f"no token for Kafka: {type(error).__name__}"
            raise Denied(text, cure="check this process's cloud credentials") from error


def _token_source(section: QueueSettings) -> TokenSource:
    if section.auth == "aws-msk-iam":
        return aws_tokens(section.region)
    return google_tokens()


def aws_tokens(region: str) -> TokenSource:
    """Tokens for Amazon MSK: a presigned call of `kafka-cluster:Connect`, signed with boto's credential chain."""
    if not region:
        raise Invalid("aws-msk-iam signs for a region", name="queue.region", cure="set the region of the MSK cluster")
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError as error:
        raise missing("aws-msk-iam-sasl-signer-python", extra="aws") from error

    def token() -> Token:
        value, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
        return value, expires_ms / 1000

    return token


def google_tokens(credentials: Credentials | None = None) -> TokenSource:
    """Tokens for Google's Managed Service for Apache Kafka, from the application default credentials.

    The service wants the access token in the third part of something that looks like a JSON web token, each part in
    base64url without padding: header, claims, access token.
    """
    try:
        import google.auth
        import google.auth.exceptions
        from google.auth.transport.requests import Request
    except ImportError as error:
        raise missing("google-auth", extra="gcp") from error
    try:
        known: Any = credentials or google.auth.default(scopes=[_GOOGLE_SCOPE])[0]
    except google.auth.exceptions.GoogleAuthError as error:
        raise Denied("no Google credentials for Kafka", cure="run `gcloud auth application-default login`") from error

    def token() -> Token:
        # Always a new one: librdkafka asks only when most of the last one's life is over, and google-auth would give
        # the same one again until it is nearly dead.
        known.refresh(Request())
        expires = known.expiry.replace(tzinfo=UTC).timestamp()  # google-auth's times are UTC without saying so
        header = {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
        claims = {
            "exp": int(expires),
            "iss": "Google",
            "iat": int(time.time()),
            "scope": "kafka",
            "sub": getattr(known, "service_account_email", None) or getattr(known, "account", ""),
        }
        parts = (json.dumps(header), json.dumps(claims), known.token)
        return ".".join(_base64(part) for part in parts), expires

    return token


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
