"""What is sent to prove who we are, to the letter, and what is refused before anything is sent."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth
import google.auth.credentials
import pytest

from adapters.drivers.queue import auth
from adapters.errors import Denied, Invalid, NotFound, NotInstalled
from adapters.settings import QueueSettings, Secret

BROKERS = "b-1.example:9098"
KEY, SECRET = "AKIDEXAMPLE", "an-example-secret-key"


def decoded(part: str) -> bytes:
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


class LocalCredentials(google.auth.credentials.Credentials):
    """What the metadata server would give, an hour at a time."""

    service_account_email = "trainer@project.iam.gserviceaccount.com"

    def __init__(self) -> None:
        super().__init__()
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        self.token = f"ya29.token-{self.refreshed}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


@pytest.mark.usefixtures("aws_credentials")
def test_a_token_for_msk_is_a_presigned_connect() -> None:
    token, expires = auth.aws_tokens("eu-central-1")()
    url = urlsplit(decoded(token).decode())
    query = parse_qs(url.query)
    assert (url.scheme, url.netloc, url.path) == ("https", "kafka.eu-central-1.amazonaws.com", "/")
    assert query["Action"] == ["kafka-cluster:Connect"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    [scope] = query["X-Amz-Credential"]
    assert scope.startswith(f"{KEY}/")
    assert scope.endswith("/eu-central-1/kafka-cluster/aws4_request")
    assert len(query["X-Amz-Signature"][0]) == 64
    assert SECRET not in decoded(token).decode()
    assert 800 < expires - time.time() <= 900, "in seconds, and the quarter of an hour that MSK allows"


@pytest.mark.usefixtures("aws_credentials")
def test_msk_is_reached_by_oauthbearer_over_tls() -> None:
    section = QueueSettings(brokers=BROKERS, auth="aws-msk-iam", tls=True, region="eu-central-1")
    config = auth.client_config(section)
    token, expires = config.pop("oauth_cb")("")
    assert decoded(token).startswith(b"https://kafka.eu-central-1.amazonaws.com/")
    assert expires > time.time()
    assert config == {"bootstrap.servers": BROKERS, "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}


def test_a_token_for_google_has_three_parts() -> None:
    token, expires = auth.google_tokens(LocalCredentials())()
    header, claims, access = token.split(".")
    assert json.loads(decoded(header)) == {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    assert decoded(access) == b"ya29.token-1"
    told = json.loads(decoded(claims))
    assert told.keys() == {"exp", "iss", "iat", "scope", "sub"}
    assert (told["iss"], told["scope"], told["sub"]) == ("Google", "kafka", LocalCredentials.service_account_email)
    assert told["exp"] == int(expires)
    assert 3590 < told["exp"] - told["iat"] <= 3600
    assert 3590 < expires - time.time() <= 3600, "google-auth's expiry is UTC, whatever this machine's zone"


def test_each_google_token_is_a_new_one() -> None:
    tokens = auth.google_tokens(LocalCredentials())
    assert [decoded(tokens()[0].split(".")[2]) for _ in range(3)] == [b"ya29.token-1", b"ya29.token-2", b"ya29.token-3"]


def test_google_credentials_come_from_the_default_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def default(scopes: list[str]) -> tuple[LocalCredentials, str]:
        asked.append(scopes)
        return LocalCredentials(), "project"

    monkeypatch.setattr(google.auth, "default", default)
    section = QueueSettings(brokers=BROKERS, auth="gcp-oauth", tls=True)
    config = auth.client_config(section)
    assert asked == [["https://www.googleapis.com/auth/cloud-platform"]]
    assert config["oauth_cb"]("")[0].count(".") == 2


def test_without_google_credentials_it_is_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(Denied, match="credentials"):
        auth.client_config(QueueSettings(brokers=BROKERS, auth="gcp-oauth", tls=True))


def test_the_first_token_is_made_once_and_a_failed_renewal_keeps_the_last() -> None:
    answers: list[Any] = [("first", time.time() + 60), RuntimeError("token=secret"), ("second", time.time() + 90)]

    def source() -> auth.Token:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    section = QueueSettings(brokers=BROKERS, tls=True)
    renew = auth.client_config(section, tokens=source)["oauth_cb"]
    assert [renew("")[0] for _ in range(3)] == ["first", "first", "second"]


def test_a_failed_renewal_is_an_error_once_the_last_token_is_dead() -> None:
    answers: list[Any] = [("first", time.time() - 1)]

    def source() -> auth.Token:
        if not answers:
            raise RuntimeError("token=secret")
        return answers.pop()

    renew = auth.client_config(QueueSettings(brokers=BROKERS, tls=True), tokens=source)["oauth_cb"]
    renew("")
    with pytest.raises(Denied) as caught:
        renew("")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("mechanism", "name"),
    [("plain", "PLAIN"), ("scram-sha-256", "SCRAM-SHA-256"), ("scram-sha-512", "SCRAM-SHA-512")],
)
def test_a_password_goes_with_its_mechanism(mechanism: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_USER", "trainer")
    monkeypatch.setenv("KAFKA_PASSWORD", "the password")
    section = QueueSettings(
        brokers=BROKERS,
        auth=mechanism,
        tls=True,
        ca_file="/ca.pem",
        username=Secret("env:KAFKA_USER"),
        password=Secret("env:KAFKA_PASSWORD"),
    )
    assert auth.client_config(section) == {
        "bootstrap.servers": BROKERS,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": name,
        "sasl.username": "trainer",
        "sasl.password": "the password",
    }


def test_scram_may_go_without_tls_because_it_never_sends_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", "x")
    section = QueueSettings(brokers=BROKERS, auth="scram-sha-512", username=Secret("env:P"), password=Secret("env:P"))
    assert auth.client_config(section)["security.protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize("kind", ["plain", "aws-msk-iam", "gcp-oauth"])
def test_what_would_travel_in_the_clear_is_refused(kind: Any) -> None:
    for brokers in (BROKERS, "127.0.0.1:9092," + BROKERS, "10.0.0.1:9092", "[2001:db8::1]:9092"):
        with pytest.raises(Invalid, match=r"queue\.tls"):
            auth.client_config(QueueSettings(brokers=brokers, auth=kind, region="eu-central-1"))


@pytest.mark.parametrize("brokers", ["127.0.0.1:9092", "localhost:9092, 127.0.0.2:9092", "[::1]:9092"])
def test_on_this_machine_the_clear_is_allowed(brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", "x")
    section = QueueSettings(brokers=brokers, auth="plain", username=Secret("env:P"), password=Secret("env:P"))
    assert auth.client_config(section)["security.protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    ("settings", "error", "name"),
    [
        ({"brokers": ""}, Invalid, "ISTHMUS_QUEUE_BROKERS"),
        ({"auth": "plain"}, Invalid, "queue.username"),
        ({"auth": "scram-sha-256", "username": Secret("env:ABSENT_USER")}, NotFound, "ABSENT_USER"),
        ({"auth": "aws-msk-iam"}, Invalid, "region"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        auth.client_config(QueueSettings(**{"brokers": BROKERS, "tls": True, **settings}))


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [("aws-msk-iam", "aws_msk_iam_sasl_signer", "aws"), ("gcp-oauth", "google.auth", "gcp")],
)
def test_a_missing_library_names_its_cure(kind: Any, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(NotInstalled, match=rf"\.\[{extra}\]"):
        auth.client_config(QueueSettings(brokers=BROKERS, auth=kind, tls=True, region="eu-central-1"))
