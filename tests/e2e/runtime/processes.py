"""The runtime's own processes on a real S3 server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters import Adapters, connect
from adapters.settings import Settings
from tests.deadline import until
from tests.servers import free_ports, s3_server

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0


@dataclass
class Platform:
    """Where the runtime's processes find their storage."""

    settings: Path
    environment: dict[str, str]

    def run(
        self, module: str, *arguments: str, code: int = 0, stdin: str = "", seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a module of the runtime to its end and expect this exit code."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, env=self.environment, input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{module} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, module: str, *arguments: str) -> Any:
        """What it prints with `--json`: the last line for training, everything otherwise."""
        out = self.run(module, *arguments, "--json").stdout
        return json.loads(out.splitlines()[-1] if module == "runtime.train.main" else out)

    def refused(self, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
        """A model server that must end by itself, on ports that nobody has."""
        port, management = free_ports(2)
        ports = ("--port", str(port), "--management-port", str(management))
        return self.run("runtime.serve.main", *arguments, *ports, code=code)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Adapters]:
        with connect(Settings.load(self.settings, environ={})) as opened:
            yield opened

    @contextlib.contextmanager
    def serving(self, *arguments: str, ready: bool = True) -> Iterator[Server]:
        """A model server of its own until the block ends; its end is awaited."""
        port, management = free_ports(2)
        server = Server(self, port, management)
        server.start(arguments)
        try:
            if ready:
                server.until_ready()
            yield server
        finally:
            server.end()


@dataclass
class Server:
    """One `runtime.serve.main` process."""

    platform: Platform
    port: int
    management_port: int
    process: subprocess.Popen[str] = field(init=False)
    log: Path = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, arguments: tuple[str, ...]) -> None:
        self.log = self.platform.settings.parent / f"serve-{self.port}.log"
        command = [sys.executable, "-m", "runtime.serve.main", "--port", str(self.port)]
        command += ["--management-port", str(self.management_port), "--poll-seconds", "0.2", *arguments]
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.platform.environment,
                stdout=sink,
                stderr=sink,
                text=True,
                start_new_session=True,
            )

    def until_ready(self) -> None:
        until(lambda: self.status("/v2/health/ready") == 200, seconds=START_SECONDS, what=f"readiness\n{self.said}")

    def until_live(self) -> None:
        until(lambda: self.status("/v2/health/live") == 200, seconds=START_SECONDS, what="liveness")

    def status(self, path: str, *, management: bool = False) -> int:
        """The status of a GET, 0 when nobody answers. Raises when the process has ended."""
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}: {self.said}"
        try:
            return self.ask("GET", path, management=management)[0]
        except OSError:
            return 0

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        management: bool = False,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with lower-case names, and body."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.management_port if management else self.port, timeout=20
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get(self, path: str, *, management: bool = False) -> Any:
        status, _, body = self.ask("GET", path, management=management)
        assert status == 200, body
        return json.loads(body)

    def post(
        self, path: str, document: object, headers: Mapping[str, str] | None = None, *, management: bool = False
    ) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, _, answer = self.ask(
            "POST", path, body, {"content-type": "application/json", **(headers or {})}, management=management
        )
        assert status == 200, answer
        return json.loads(answer)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def terminate(self) -> float:
        """SIGTERM; the seconds until it had ended. Raises when that takes more than 20."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - began

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


@contextlib.contextmanager
def new_platform(folder: Path) -> Iterator[Platform]:
    """Empty storage on a real S3 server, and a settings document that reaches it."""
    with s3_server(bucket="isthmus") as server:
        keys = {"access_key": folder / "access", "secret_key": folder / "secret"}
        keys["access_key"].write_text(server.access_key)
        keys["secret_key"].write_text(server.secret_key)
        references = {name: f"file:{path}" for name, path in keys.items()}
        storage = {"bucket": server.bucket, "endpoint": server.url, "region": "us-east-1", **references}
        settings = folder / "settings.json"
        settings.write_text(json.dumps({"cloud": "local", "storage": storage}))
        hidden = ("CLOUD_PROVIDER", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"ISTHMUS_SETTINGS": str(settings), "PYTHONPATH": str(ROOT)}
        yield Platform(settings, environment)
