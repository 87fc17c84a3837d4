"""What S3's answers mean: one table by error code, one by status for codes that it lacks."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    TokenRetrievalError,
)

from adapters.drivers.storage.driver import Refused
from adapters.drivers.storage.s3_client import CURE
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient, Unsupported

BY_CODE: Final[dict[str, type[AdapterError]]] = {
    "NoSuchKey": NotFound,
    "NoSuchBucket": NotFound,
    "NoSuchUpload": NotFound,
    "PreconditionFailed": Conflict,
    "ConditionalRequestConflict": Refused,  # another write was running: S3 says to send it again
    "OperationAborted": Refused,
    "SlowDown": Refused,
    "ServiceUnavailable": Refused,
    "TooManyRequests": Refused,
    "ExpiredToken": Denied,
    "InvalidToken": Denied,
    "AuthorizationHeaderMalformed": Denied,
    "RequestTimeout": Transient,
    "IncompleteBody": Transient,
    "BadDigest": Transient,
    "NotImplemented": Unsupported,
}
BY_STATUS: Final[dict[int, type[AdapterError]]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: Unsupported,
    409: Transient,
    412: Conflict,
    429: Transient,
    501: Unsupported,
}
MISSING: Final = ("NoSuchKey", "404")
CURES: Final = {
    "RequestTimeTooSkewed": "set this machine's clock",
    "PermanentRedirect": "set storage.region to the bucket's region",
    "NoSuchBucket": "check storage.bucket, or run `isthmus up`",
}
REFUSED_HERE: Final = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, TokenRetrievalError, SSLError)
"""What the SDK raises before or instead of an answer and no repetition mends."""


class translating:
    """`with translating(name):` turns what boto3 raises about `name` into an error of ours.

    A class and not a generator: it stands on every call, and costs a fifth of a microsecond where that costs one.
    """

    __slots__ = ("_name", "_swap")

    def __init__(self, name: str, *, swap: bool = False) -> None:
        self._name, self._swap = name, swap

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, ClientError):
            raise from_answer(error, self._name, swap=self._swap) from error
        if isinstance(error, BotoCoreError):
            raise from_client(error, self._name) from error


def from_answer(error: ClientError, name: str, *, swap: bool = False) -> AdapterError:
    """The meaning of an error that the server answered.

    In a compare-and-`swap` S3 says 404 where a version is expected of a key that holds none: that is a lost race.
    """
    about = error.response.get("Error", {})
    code, status = str(about.get("Code", "")), status_of(error)
    kind = BY_CODE.get(code) or BY_STATUS.get(status) or (Transient if status >= 500 or not status else Invalid)
    if swap and code in MISSING:
        kind = Conflict
    text = str(about.get("Message") or code or status)
    return kind(f"{text} ({code})" if code and code not in text else text, name=name, cure=CURES.get(code, ""))


def from_client(error: BotoCoreError, name: str) -> AdapterError:
    """The meaning of an error that the SDK raised by itself."""
    if isinstance(error, ParamValidationError):
        return Invalid(str(error), name=name)
    if isinstance(error, SSLError):
        return Denied(str(error), name=name, cure="set storage.ca_file to the authority of the endpoint's certificate")
    if isinstance(error, REFUSED_HERE):
        return Denied(str(error), name=name, cure=CURE)
    return Transient(str(error), name=name)


def status_of(error: ClientError) -> int:
    """HTTP status of the answer, 0 when there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
