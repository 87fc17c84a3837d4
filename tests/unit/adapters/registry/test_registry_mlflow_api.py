"""What an MLflow server's answers mean, and what is said when there is none, or none of MLflow's."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.drivers.registry import mlflow
from adapters.drivers.registry.mlflow_api import ATTEMPTS, MlflowApi
from adapters.drivers.storage.memory import MemoryStorage
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient
from adapters.settings import RegistrySettings, Secret

HTML = (404, "text/html", b"<html>Not here</html>")


def fault(status: int, code: str) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps({"error_code": code, "message": "so it is"}).encode()


class Answering(ThreadingHTTPServer):
    """A server that gives the answers it was told, the last one from then on, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked = list(answers), list[dict[str, Any]]()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append({"path": self.path, **self.headers})
        status, kind, body = self.server.answers[0]
        if len(self.server.answers) > 1:
            del self.server.answers[0]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET

    def log_message(self, *arguments: object) -> None:
        """Not to standard error."""


@contextmanager
def answering(*answers: tuple[int, str, bytes]) -> Iterator[Answering]:
    with Answering(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def asking(url: str, **options: Any) -> MlflowApi:
    return MlflowApi(RegistrySettings(mlflow_url=url, **options), sleep=lambda seconds: None)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (fault(404, "RESOURCE_DOES_NOT_EXIST"), NotFound, "so it is"),
        (fault(400, "RESOURCE_ALREADY_EXISTS"), Conflict, "so it is"),
        (fault(400, "INVALID_PARAMETER_VALUE"), Invalid, "INVALID_PARAMETER_VALUE: so it is"),
        (fault(403, "PERMISSION_DENIED"), Denied, "registry.token"),
        ((401, "text/plain", b"You are not authenticated"), Denied, "not authenticated.*registry.username"),
        (fault(500, "INTERNAL_ERROR"), Transient, "so it is"),
        (fault(429, "REQUEST_LIMIT_EXCEEDED"), Transient, "so it is"),
        ((502, "text/html", b"<html>Bad gateway</html>"), Transient, "Bad gateway"),
        (HTML, Invalid, "does not speak MLflow.*set registry.mlflow_url"),
        ((200, "text/html", b"<html>Welcome</html>"), Invalid, "does not speak MLflow"),
        ((302, "text/html", b""), Invalid, "HTTP 302"),
    ],
)
def test_each_answer_has_its_error_which_names_the_server(
    answer: tuple[int, str, bytes], kind: type[AdapterError], said: str
) -> None:
    with answering(answer) as server, pytest.raises(kind, match=f"{server.url}.*{said}") as refusal:
        asking(server.url).get("model-versions/search", {})
    assert type(refusal.value) is kind


def test_a_wrong_url_is_one_clear_error_at_the_first_call() -> None:
    with answering(HTML) as server:
        registry = mlflow.open(RegistrySettings(mlflow_url=server.url), MemoryStorage())
        with pytest.raises(Invalid, match="does not speak MLflow's REST API: HTTP 404"):
            registry.models()
        assert len(server.asked) == 1
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    registry = mlflow.open(RegistrySettings(mlflow_url=f"http://127.0.0.1:{port}"), MemoryStorage())
    with pytest.raises(Transient, match=rf"127.0.0.1:{port}: MLflow does not answer.*is it running"):
        registry.register("fraud", {"config.json": b"{}"})


@pytest.mark.parametrize("url", ["mlflow:5000", "ftp://mlflow", "http://", "sqlite:///mlflow.db", "http://a:b:c"])
def test_what_is_no_url_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(Invalid, match="such as http://mlflow:5000"):
        asking(url)


def test_a_passing_fault_is_asked_through_and_a_creation_is_sent_once() -> None:
    found = (200, "application/json", b'{"model_versions": [{"name": "fraud", "version": "3"}]}')
    busy = fault(503, "TEMPORARILY_UNAVAILABLE")
    with answering(busy, busy, found) as server:
        assert [version.number for version in asking(server.url).versions("name = 'fraud'")] == [3]
        assert len(server.asked) == ATTEMPTS == 3
    with answering(busy) as server:
        with pytest.raises(Transient):
            asking(server.url).create_version("fraud")
        assert len(server.asked) == 1
        with pytest.raises(Transient):
            asking(server.url).post("registered-models/create", {})
        assert len(server.asked) == 1 + ATTEMPTS


def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Transient, match=r"no answer to model-versions/create in 0\.2 s"):
            asking(url, timeout_seconds=0.2).create_version("fraud")


def test_the_token_goes_in_a_header_alone_or_with_a_username(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TOKEN", "s3cret")
    monkeypatch.setenv("MLFLOW_USER", "ada")
    token, user = Secret("env:MLFLOW_TOKEN"), Secret("env:MLFLOW_USER")
    with answering((200, "application/json", b"{}")) as server:
        asking(server.url + "/").versions("")
        asking(server.url, token=token).versions("")
        asking(server.url, token=token, username=user).versions("")
        none, bearer, basic = (one.get("Authorization") for one in server.asked)
    assert none is None and bearer == "Bearer s3cret"
    assert basic == "Basic " + base64.b64encode(b"ada:s3cret").decode()
    assert all(one["path"].startswith("/api/2.0/mlflow/model-versions/search?") for one in server.asked)


def test_more_than_a_page_is_asked_for_by_its_token() -> None:
    first = b'{"model_versions": [{"name": "a", "version": "1"}], "next_page_token": "more"}'
    second = b'{"model_versions": [{"name": "a", "version": "2", "tags": [{"key": "k"}]}]}'
    with answering((200, "application/json", first), (200, "application/json", second)) as server:
        assert [(one.number, one.tags) for one in asking(server.url).versions("")] == [(1, {}), (2, {"k": ""})]
        assert "page_token=more" in server.asked[1]["path"]
