"""What Cloud Storage's answers, and its library's own exceptions, mean."""

from __future__ import annotations

from http.client import responses
from types import TracebackType
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import RequestException, SSLError
from urllib3.exceptions import HTTPError

from adapters.drivers.storage.driver import Refused
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient, Unsupported

BY_STATUS: Final[dict[int, type[AdapterError]]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Transient,
    409: Transient,  # two changes of one thing at the same time
    412: Conflict,
    429: Refused,
    501: Unsupported,
}
BROKEN_OFF: Final = (RequestException, HTTPError, DataCorruption, RetryError, ConnectionError, TimeoutError)
"""No whole answer came, or not the bytes that were stored."""


class translating:
    """`with translating(name):` turns what google-cloud-storage raises about `name` into an error of ours.

    With `swap`, 404 is a lost race: a version was expected of a key that holds none.
    """

    __slots__ = ("_name", "_swap")

    def __init__(self, name: str, *, swap: bool = False) -> None:
        self._name, self._swap = name, swap

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, AdapterError):
            return
        meaning = translated(error, self._name, swap=self._swap)
        if meaning is not None:
            raise meaning from error


def translated(error: BaseException, name: str, *, swap: bool = False) -> AdapterError | None:
    """The meaning of an exception of the library, None for one that is not its."""
    if isinstance(error, GoogleAPICallError):
        return _from_status(int(error.code or 0), _reasons(error), name, swap)
    if isinstance(error, InvalidResponse):
        return _from_status(int(error.response.status_code), "", name, swap)
    if isinstance(error, SSLError):
        return Denied(str(error), name=name, cure="set storage.ca_file to the authority of the endpoint's certificate")
    if isinstance(error, GoogleAuthError):
        refused = isinstance(error, (DefaultCredentialsError, RefreshError)) and not error.retryable
        return (Denied if refused else Transient)(str(error), name=name, cure="log in anew" if refused else "")
    if isinstance(error, BROKEN_OFF):
        return Transient(str(error) or type(error).__name__, name=name)
    return None


def _reasons(error: GoogleAPICallError) -> str:
    """The server's own words; the library puts the URL before them, which may hold an upload session's secret."""
    return "; ".join(
        str(reason["message"]) for reason in error.errors if isinstance(reason, dict) and "message" in reason
    )


def _from_status(status: int, text: str, name: str, swap: bool) -> AdapterError:
    kind = BY_STATUS.get(status) or (Transient if status >= 500 or not status else Invalid)
    if status == 404 and swap:
        kind = Conflict
    phrase = responses.get(status, "no status")
    return kind(f"{text or phrase} ({status})", name=name)
