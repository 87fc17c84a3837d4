"""A real MLflow tracking server for tests: SQLite in a temporary folder, a free loopback port, ended with the block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.deadline import until
from tests.servers import free_ports
from tools import locate

READY_SECONDS = 90.0  # it imports for ten seconds on an idle machine, and then once more in its worker
END_SECONDS = 10.0
# MLflow starts a worker that would outlive it. The pipe to this shell closes with the tests, however those end; then, or
# when MLflow ends by itself, the shell ends its whole process group.
TOGETHER = '{ "$@"; kill -9 0; } & read -r _; kill -9 0'


@contextlib.contextmanager
def mlflow_server() -> Iterator[str]:
    """The base URL of a server that answers."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="isthmus-mlflow-") as name:
        folder = Path(name)
        log = folder / "mlflow.log"
        argv = [*locate("mlflow").argv, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        argv += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", f"{folder}/runs"]
        with log.open("wb") as sink:
            server = subprocess.Popen(
                ["/bin/sh", "-c", TOGETHER, "sh", *argv],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
            )
        try:
            until(lambda: server.poll() is not None or _answers(url), seconds=READY_SECONDS, what=f"MLflow at {url}")
            if server.poll() is not None:
                raise RuntimeError(f"MLflow ended with {server.returncode}: {log.read_text(errors='replace')[-2000:]}")
            yield url
        finally:
            server.communicate(timeout=END_SECONDS)


class Person:
    """Who looks at MLflow's page and changes things there: plain requests, nothing of ours."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/2.0/mlflow/", trust_env=False, timeout=30)

    def ask(self, path: str, **fields: str) -> dict[str, Any]:
        return self._client.get(path, params=fields).raise_for_status().json()

    def do(self, path: str, verb: str = "POST", **fields: Any) -> dict[str, Any]:
        return self._client.request(verb, path, json=fields).raise_for_status().json()

    def version(self, model: str, number: int) -> dict[str, Any]:
        found = self.ask("model-versions/get", name=model, version=str(number))["model_version"]
        return found | {"tags": {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}}

    def alias(self, model: str, alias: str) -> int:
        return int(self.ask("registered-models/alias", name=model, alias=alias)["model_version"]["version"])


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    return {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1):
            return True
    except OSError:
        return False
