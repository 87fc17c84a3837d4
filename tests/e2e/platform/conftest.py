"""A local platform of the test session's own: real engine, real servers, a home folder that nothing else uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Home:
    """One ISTHMUS_HOME and the command line on it."""

    folder: Path

    def environment(self, cloud: str = "") -> dict[str, str]:
        chosen = {k: v for k, v in os.environ.items() if k not in ("CLOUD_PROVIDER", "PYTHONDONTWRITEBYTECODE")}
        return chosen | {"ISTHMUS_HOME": str(self.folder)} | ({"CLOUD_PROVIDER": cloud} if cloud else {})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *arguments]

    def run(
        self, *arguments: str, cloud: str = "", code: int = 0, seconds: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run `isthmus ...` and expect this exit code."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment(cloud),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, cloud: str = "", code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", cloud=cloud, code=code).stdout)

    def pulumi(self, *arguments: str, cloud: str = "") -> str:
        """`pulumi ...` as typed by hand after eval "$(isthmus env)"."""
        script = f'eval "$({" ".join(self.command("env"))})"; exec pulumi {" ".join(arguments)}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=self.environment(cloud),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def process(self, name: str) -> dict[str, Any]:
        found = subprocess.run(
            self.command("status", "--json"), cwd=ROOT, env=self.environment(), capture_output=True, check=False
        )
        return {one["name"]: one for one in json.loads(found.stdout)["processes"]}[name]

    def processes(self) -> list[psutil.Process]:
        """Every process of this machine that works in, or was started with, this home."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), process.cwd(), *process.environ().values()]
            except (psutil.Error, OSError):
                continue
            if process.pid != os.getpid() and any(str(self.folder) in word for word in words):
                found.append(process)
        return found


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home of this test's own; whatever it started is ended after it."""
    home = Home(tmp_path_factory.mktemp("home"))
    try:
        yield home
    finally:
        subprocess.run(
            home.command("down", "--data"), cwd=ROOT, env=home.environment(), capture_output=True, check=False
        )
        for process in home.processes():
            process.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that the tests of one file share, in their order."""
    home = Home(tmp_path_factory.mktemp("shared"))
    try:
        yield home
    finally:
        subprocess.run(
            home.command("down", "--data"), cwd=ROOT, env=home.environment(), capture_output=True, check=False
        )
        for process in home.processes():
            process.kill()
