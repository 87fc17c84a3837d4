"""Clients made from settings: what is refused, how they reach a store, what they sign, what an answer means."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from requests.exceptions import ChunkedEncodingError
from requests.exceptions import SSLError as RequestsSSLError

from adapters.drivers.storage import gcs, gcs_errors, s3, s3_errors
from adapters.drivers.storage.driver import Refused
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient, Unsupported
from adapters.ports import Capability
from adapters.settings import Secret, StorageSettings

ENDPOINT = "http://127.0.0.1:9"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "key").write_text("AKIDEXAMPLE")
    return {"access_key": Secret(f"file:{tmp_path}/key"), "secret_key": Secret(f"file:{tmp_path}/key")}


@pytest.fixture(scope="module")
def service_account(tmp_path_factory: pytest.TempPathFactory) -> Secret:
    """The JSON key of a service account that exists nowhere."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("secret") / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "writer@example.iam.gserviceaccount.com",
                "private_key": key.decode(),
                "token_uri": f"{ENDPOINT}/token",
            }
        )
    )
    return Secret(f"file:{path}")


@pytest.mark.parametrize("driver", [s3, gcs])
def test_settings_without_a_bucket_are_refused_before_anything_is_sent(driver: ModuleType) -> None:
    with pytest.raises(Invalid, match=r"storage\.bucket: no bucket is set; `isthmus up` writes it"):
        driver.open(StorageSettings(endpoint=ENDPOINT))


def test_half_a_pair_of_keys_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="both of access_key and secret_key"):
        s3.open(StorageSettings(bucket="b", endpoint=ENDPOINT, access_key=keys["access_key"]))


def test_a_store_of_ones_own_is_reached_by_path_and_without_trailing_checksums(keys: dict[str, Any]) -> None:
    config = s3.open(StorageSettings(bucket="b", endpoint=ENDPOINT, **keys))._client.meta.config
    assert config.s3["addressing_style"] == "path"
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"


def test_aws_is_reached_by_the_buckets_name_and_with_checksums(keys: dict[str, Any]) -> None:
    client = s3.open(StorageSettings(bucket="b", region="eu-west-1", **keys))._client
    assert client.meta.config.s3["addressing_style"] == "virtual"
    assert client.meta.config.request_checksum_calculation == "when_supported"
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"


def test_only_parts_of_an_upload_are_repeated_by_the_sdk(keys: dict[str, Any]) -> None:
    store = s3.open(StorageSettings(bucket="b", endpoint=ENDPOINT, **keys))
    assert store._clients.once.meta.config.retries["total_max_attempts"] == 1
    assert store._clients.parts.meta.config.retries["total_max_attempts"] == 3
    assert gcs.open(StorageSettings(bucket="b", endpoint=ENDPOINT))._once["retry"] is None


@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_a_url_is_signed_for_the_host_of_the_buckets_own_region(keys: dict[str, Any], verb: str) -> None:
    store = s3.open(StorageSettings(bucket="bucket", region="eu-west-1", **keys))
    url = urlsplit(store.presign("a b/ü", verb=verb, expires_seconds=60))
    assert (url.hostname, url.path) == ("bucket.s3.eu-west-1.amazonaws.com", "/a%20b/%C3%BC")
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host"], "or whoever uses it would have to send our headers"


def test_a_service_account_signs_and_an_emulators_user_does_not(service_account: Secret) -> None:
    signing = gcs.open(StorageSettings(bucket="bucket", secret_key=service_account))
    assert Capability.PRESIGN in signing.capabilities
    url = urlsplit(signing.presign("a b/ü", verb="PUT", expires_seconds=60))
    assert (url.hostname, url.path) == ("storage.googleapis.com", "/bucket/a%20b/%C3%BC")
    assert parse_qs(url.query)["X-Goog-Expires"] == ["60"]
    emulated = gcs.open(StorageSettings(bucket="bucket", endpoint=ENDPOINT))
    assert Capability.PRESIGN not in emulated.capabilities
    with pytest.raises(Unsupported, match="cannot sign"):
        emulated.presign("k")


def test_what_is_no_key_of_a_service_account_is_refused_without_being_quoted(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2")
    with pytest.raises(Invalid, match=r"storage\.secret_key: not the JSON key") as caught:
        gcs.open(StorageSettings(bucket="b", secret_key=Secret(f"file:{tmp_path}/key")))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("driver", [s3, gcs])
def test_a_driver_prints_no_secret(driver: ModuleType, keys: dict[str, Any], service_account: Secret) -> None:
    section: dict[str, Any] = {"secret_key": service_account} if driver is gcs else keys
    store = driver.open(StorageSettings(bucket="b", **section))
    assert "AKIDEXAMPLE" not in repr(vars(store)) + repr(store)
    assert "PRIVATE KEY" not in repr(vars(store))


def answered(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op"
    )


S3_MEANINGS = [
    (answered("NoSuchKey", 404), NotFound),
    (answered("NoSuchBucket", 404), NotFound),
    (answered("404", 404), NotFound),
    (answered("PreconditionFailed", 412), Conflict),
    (answered("ConditionalRequestConflict", 409), Refused),
    (answered("AccessDenied", 403), Denied),
    (answered("403", 403), Denied),
    (answered("SignatureDoesNotMatch", 403), Denied),
    (answered("ExpiredToken", 400), Denied),
    (answered("SlowDown", 503), Refused),
    (answered("503", 503), Transient),
    (answered("InternalError", 500), Transient),
    (answered("TooManyRequests", 429), Refused),
    (answered("RequestTimeout", 400), Transient),
    (answered("InvalidArgument", 400), Invalid),
    (answered("NotImplemented", 501), Unsupported),
    (answered("", 0), Transient),
    (EndpointConnectionError(endpoint_url=ENDPOINT), Transient),
    (ReadTimeoutError(endpoint_url=ENDPOINT), Transient),
    (NoCredentialsError(), Denied),
    (SSLError(endpoint_url=ENDPOINT, error="certificate verify failed"), Denied),
    (ParamValidationError(report="bad"), Invalid),
]


@pytest.mark.parametrize(("error", "meaning"), S3_MEANINGS)
def test_an_answer_of_s3_has_one_meaning(error: Exception, meaning: type[AdapterError]) -> None:
    with pytest.raises(AdapterError) as caught, s3_errors.translating("k"):
        raise error
    assert type(caught.value) is meaning
    assert (caught.value.name, caught.value.__cause__) == ("k", error)


GCS_MEANINGS = [
    (google.NotFound("said"), NotFound),
    (google.PreconditionFailed("said"), Conflict),
    (google.Forbidden("said"), Denied),
    (google.Unauthorized("said"), Denied),
    (google.TooManyRequests("said"), Refused),
    (google.ServiceUnavailable("said"), Transient),
    (google.InternalServerError("said"), Transient),
    (google.BadRequest("said"), Invalid),
    (google.RetryError("said", None), Transient),
    (ChunkedEncodingError("cut"), Transient),
    (RequestsSSLError("certificate verify failed"), Denied),
    (ConnectionResetError("reset"), Transient),
    (DefaultCredentialsError("none"), Denied),
    (RefreshError("revoked"), Denied),
    (TransportError("away"), Transient),
]


@pytest.mark.parametrize(("error", "meaning"), GCS_MEANINGS)
def test_an_answer_of_cloud_storage_has_one_meaning(error: Exception, meaning: type[AdapterError]) -> None:
    with pytest.raises(AdapterError) as caught, gcs_errors.translating("k"):
        raise error
    assert type(caught.value) is meaning
    assert (caught.value.name, caught.value.__cause__) == ("k", error)


@pytest.mark.parametrize("translating", [s3_errors.translating, gcs_errors.translating])
def test_an_error_of_the_callers_own_passes_through(translating: type[s3_errors.translating]) -> None:
    with pytest.raises(ZeroDivisionError), translating("k"):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), translating("k"):
        raise KeyboardInterrupt


def test_a_missing_object_is_a_lost_race_to_who_expected_a_version() -> None:
    with pytest.raises(Conflict), s3_errors.translating("k", swap=True):
        raise answered("NoSuchKey", 404)
    with pytest.raises(NotFound), s3_errors.translating("k", swap=True):
        raise answered("NoSuchBucket", 404)
    with pytest.raises(Conflict), gcs_errors.translating("k", swap=True):
        raise google.NotFound("said")


@pytest.mark.parametrize(
    ("library", "driver", "extra"), [("boto3", "s3", "aws"), ("google.cloud.storage", "gcs", "gcp")]
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(library: str, driver: str, extra: str) -> None:
    script = f"import sys; sys.modules[{library!r}] = None; from adapters.drivers.storage import {driver}"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "NotInstalled" in ended.stderr
    assert f"pip install -e '.[{extra}]'" in ended.stderr
