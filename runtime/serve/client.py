"""A small client of this server for the commands: one connection kept alive, JSON, errors in one sentence."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

from adapters.errors import DeadlineExceeded, Invalid, NotFound, Transient

JSON = {"content-type": "application/json"}


class Client:
    """One connection to `url`, opened at the first request and again after the server closed it. Not shared by threads."""

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{url!r} is no address of a server", name="--url", cure="write http://HOST:PORT")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url, self._prefix = url.rstrip("/"), parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises NotFound, Invalid, Transient or DeadlineExceeded."""
        return self._checked("GET", path, None)

    def post(self, path: str, body: bytes) -> Any:
        """The JSON that answers `body`. Raises NotFound, Invalid, Transient or DeadlineExceeded."""
        return self._checked("POST", path, body)

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Status and body, whatever they are. Raises Transient or DeadlineExceeded when there is no answer."""
        try:
            try:
                return self._send(method, path, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()  # the server ended an idle connection: once more on a new one
                return self._send(method, path, body)
        except TimeoutError as error:
            self._connection.close()
            raise DeadlineExceeded("the server did not answer in time", name=self.url) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise Transient(
                f"no server answers there: {reason}", name=self.url, cure="`isthmus up` starts one"
            ) from error

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, self._prefix + path, body, JSON if body is not None else {})
        response = self._connection.getresponse()
        return response.status, response.read()

    def _checked(self, method: str, path: str, body: bytes | None) -> Any:
        status, answer = self.send(method, path, body)
        try:
            document = msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise Invalid(f"it answered {status} without JSON: no model server", name=self.url + path) from error
        if status < 400:
            return document
        detail = document.get("detail", f"status {status}") if isinstance(document, dict) else f"status {status}"
        kind = NotFound if status == 404 else Invalid if status < 500 else Transient
        raise kind(detail, name=self.url + path)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
