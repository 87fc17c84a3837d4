"""Secret managers for tests. moto is a kept emulator; the other two are ours and answer only what reading a secret needs.

Google's service is implemented with its own protocol messages over real gRPC. The Kubernetes API is a plain HTTP server
whose documents have the shapes of the real one. Neither shows how the clouds authenticate.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers import free_ports, process

NO_AUTHENTICATION = 10**9
TOKEN = "a-service-account-token"


@dataclass(frozen=True)
class MotoSecrets:
    """moto's Secrets Manager at `url`. It checks credentials and policies only while told to."""

    url: str

    def client(self, service: str, key: str = "test", secret: str = "test") -> Any:
        """A plain boto3 client, for what the port does not offer."""
        import boto3

        return boto3.Session(key, secret, region_name="us-east-1").client(service, endpoint_url=self.url)

    def plant(self, name: str, value: str | bytes) -> None:
        """Store the newest value."""
        client = self.client("secretsmanager")
        field_name = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        try:
            client.create_secret(Name=name, **{field_name: value})
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, **{field_name: value})

    @contextmanager
    def authenticating(self) -> Iterator[None]:
        """Let it check who asks and what they may do, as AWS does, for the time of the block."""
        self._unchecked_calls(0)
        try:
            yield
        finally:
            self._unchecked_calls(NO_AUTHENTICATION)

    def _unchecked_calls(self, count: int) -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", str(count).encode(), plain)
        with urllib.request.urlopen(request, timeout=10):
            pass


@contextmanager
def moto_secrets() -> Iterator[MotoSecrets]:
    """moto in a process of its own."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="isthmus-moto-") as name:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with process(argv, folder=Path(name), ready_url=f"{url}/moto-api/", name="moto"):
            yield MotoSecrets(url)


@dataclass
class GoogleSecrets:
    """The versions by secret, `projects/p/secrets/name`, and what to answer instead while `failing` is set."""

    address: str = ""
    versions: dict[str, list[bytes]] = field(default_factory=dict)
    failing: Any = None
    wrong_checksum: bool = False
    calls: int = 0

    def plant(self, name: str, value: str | bytes) -> None:
        """Add a version."""
        self.versions.setdefault(name, []).append(value.encode() if isinstance(value, str) else value)

    def access(self, request: Any, context: Any) -> Any:
        """SecretManagerService.AccessSecretVersion, for `versions/latest`."""
        import google_crc32c
        import grpc
        from google.cloud import secretmanager_v1 as api

        self.calls += 1
        if self.failing is not None:
            context.abort(self.failing, "told to fail")
        name, _, version = request.name.rpartition("/versions/")
        stored = self.versions.get(name)
        if not stored or version != "latest":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{name}] not found or has no versions.")
        assert stored
        checksum = google_crc32c.value(stored[-1]) ^ self.wrong_checksum
        payload = api.SecretPayload(data=stored[-1], data_crc32c=checksum)
        return api.AccessSecretVersionResponse(name=f"{name}/versions/{len(stored)}", payload=payload)


@contextmanager
def google_secrets() -> Iterator[GoogleSecrets]:
    """Google's SecretManagerService over real gRPC, on its own messages, reduced to reading a version."""
    import grpc
    from google.cloud import secretmanager_v1 as api

    manager = GoogleSecrets()
    request, response = api.AccessSecretVersionRequest, api.AccessSecretVersionResponse
    access = grpc.unary_unary_rpc_method_handler(
        manager.access, request_deserializer=request.deserialize, response_serializer=response.serialize
    )
    server = grpc.server(ThreadPoolExecutor(4))
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": access}),))
    manager.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield manager
    finally:
        server.stop(grace=None).wait(10)


@dataclass
class KubernetesApi:
    """Secrets by `namespace/name`, and what to answer instead while `failing` or `raw` is set."""

    url: str = ""
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    failing: int = 0
    raw: bytes = b""
    token: str = ""
    """Where set, only this bearer token is let in."""

    def plant(self, name: str, value: str | bytes) -> None:
        """Store it as the object `test/<name>` under the key `value`."""
        self.secrets[f"test/{name}"] = {"value": value.encode() if isinstance(value, str) else value}

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        """The status and document for a GET of `path`."""
        scheme, _, token = authorization.partition(" ")
        if self.token and (scheme.lower(), token) != ("bearer", self.token):
            return _status(401, "Unauthorized", "Unauthorized")
        if self.failing:
            return _status(self.failing, "TestFailure", "told to fail")
        if self.raw:
            return 200, self.raw
        _, _, namespace, kind, name = path.strip("/").split("/")[1:] if path.count("/") == 6 else [""] * 5
        data = self.secrets.get(f"{namespace}/{name}") if kind == "secrets" else None
        if data is None:
            return _status(404, "NotFound", f'secrets "{name}" not found')
        document = {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
            "type": "Opaque",
        }
        return 200, json.dumps(document).encode()


def _status(code: int, reason: str, message: str) -> tuple[int, bytes]:
    document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, json.dumps(document | {"message": message, "reason": reason, "code": code}).encode()


@contextmanager
def kubernetes_api() -> Iterator[KubernetesApi]:
    """`GET /api/v1/namespaces/{namespace}/secrets/{name}` of the Kubernetes API."""
    api = KubernetesApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = api.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tests look at what is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
