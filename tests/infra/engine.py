"""A Pulumi project of its own, driven by the real engine, as a person would drive it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import tools
from infra.providers.local import identity, records
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]
COUNTER = Path(__file__).with_name("counter.py")
_COMMAND_SECONDS = 120
_KEPT = ("HOME", "LANG", "TMPDIR", "ISTHMUS_CACHE", "XDG_CACHE_HOME")
_PREAMBLE = f"""
import pulumi
from infra.providers.local.resources import Bucket, Http, LogLine, Process, Stop, Tcp, Topic

COUNTER = {str(COUNTER)!r}
"""


class EngineFailed(AssertionError):
    """A command of the engine ended with an error that the test did not expect."""


@dataclass
class Project:
    """One project with one stack, its own state, its own Pulumi home and its own ISTHMUS_HOME.

    `template` is the root of a project of the same name that nothing was done with: copying it is quicker than the engine.
    """

    root: Path
    name: str
    stack: str = "test"
    template: Path | None = None
    home: Path = field(init=False)
    env: dict[str, str] = field(init=False)
    program: str = field(init=False, default="")

    def __post_init__(self) -> None:
        engine = tools.locate("pulumi")
        self.home = self.root / "home"
        self.env = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PATH": os.environ["PATH"],
            **engine.env,
            "PULUMI_BACKEND_URL": f"file://{self.root / 'state'}",
            "PULUMI_HOME": str(self.root / "pulumi"),
            "PULUMI_STACK": self.stack,
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase nobody guesses",
            "ISTHMUS_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
        }
        self.engine = engine.argv
        self.folder = self.root / "project"
        if self.template is not None:
            shutil.copytree(self.template, self.root)
            return
        (self.root / "state").mkdir(parents=True)
        self.folder.mkdir()
        self.write("")
        (self.folder / "Pulumi.yaml").write_text(
            f"name: {self.name}\n"
            f"runtime: {{name: python, options: {{virtualenv: {ROOT / '.venv'}}}}}\n"
            f"plugins: {{providers: [{{name: isthmus, path: {ROOT / 'tools' / 'isthmus'}}}]}}\n"
        )
        self.pulumi("stack", "init", self.stack)

    def write(self, program: str) -> None:
        """Make `program` the project's program; the resources' names are imported for it."""
        self.program = program
        (self.folder / "__main__.py").write_text(_PREAMBLE + textwrap.dedent(program))

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Run one command; its output. Raises EngineFailed when it fails and `fails` is false, or the other way round."""
        command = [*self.engine, *arguments, "--non-interactive"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        output = done.stdout + done.stderr
        if (done.returncode != 0) != fails:
            raise EngineFailed(f"pulumi {' '.join(arguments)} ended with {done.returncode}:\n{output}")
        return output

    def up(self, *options: str, fails: bool = False) -> str:
        """`pulumi up`, without a preview."""
        return self.pulumi("up", "--yes", "--skip-preview", *options, fails=fails)

    def preview(self, *options: str, fails: bool = False) -> str:
        """`pulumi preview`."""
        return self.pulumi("preview", *options, fails=fails)

    def refresh(self, *options: str) -> str:
        """`pulumi refresh`."""
        return self.pulumi("refresh", "--yes", "--skip-preview", *options)

    def destroy(self) -> str:
        """`pulumi destroy`."""
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def unlock(self) -> None:
        """Take away the lock that a killed engine left."""
        self.pulumi("cancel", "--yes")

    def converge(self) -> None:
        """Unlock, look at the world, and strike the creates that a killed engine never finished from the state."""
        self.unlock()
        self.refresh("--clear-pending-creates")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        return self.state()[f"{self.name}-{self.stack}"]["outputs"]

    def state(self) -> dict[str, Any]:
        """The stack's state as it is stored, by the resources' names."""
        file = self.root / "state" / ".pulumi" / "stacks" / self.name / f"{self.stack}.json"
        resources = json.loads(file.read_text())["checkpoint"]["latest"].get("resources", [])
        return {found["urn"].rsplit("::", 1)[-1]: found for found in resources}

    def start(self, *arguments: str) -> Running:
        """Start a command and leave it running."""
        log = self.root / f"run-{len(list(self.root.glob('run-*')))}.log"
        with log.open("wb") as stream:
            child = subprocess.Popen(
                [*self.engine, *arguments, "--non-interactive"],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(child, log)

    @property
    def qualified(self) -> str:
        """`project/stack`, as records name it."""
        return f"{self.name}/{self.stack}"

    def records(self) -> list[records.Record]:
        """What is written down as started by this project."""
        return records.list_records(self.qualified, self.home)

    def processes(self) -> list[psutil.Process]:
        """Every process that runs now and was started by this project's provider, whatever is written down."""
        return [found for found in psutil.process_iter() if self._started(found)]

    def _started(self, process: psutil.Process) -> bool:
        try:
            inside = Path(process.cwd()).is_relative_to(self.home)
            return inside and identity.TOKEN in process.environ() and bool(identity.birth(process.pid))
        except (psutil.Error, OSError):
            return False


@dataclass
class Running:
    """A command of the engine under way."""

    child: subprocess.Popen[bytes]
    log: Path

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.child.send_signal(signal.SIGINT)

    def kill(self) -> list[psutil.Process]:
        """`kill -9` the engine; its plugins, which have to notice by themselves."""
        plugins = self.plugins()
        self.child.kill()
        self.child.wait(10)
        return plugins

    def kill_all(self) -> None:
        """`kill -9` the engine and its plugins at once, so that no plugin can clean up."""
        plugins = self.plugins()
        # Stopped first: the engine must not see its plugins die.
        self.child.send_signal(signal.SIGSTOP)
        for plugin in plugins:
            plugin.kill()
        self.child.kill()
        self.child.wait(10)
        gone(plugins)

    def plugins(self) -> list[psutil.Process]:
        """The language host, the program and the providers, without what the providers have started."""
        children = psutil.Process(self.child.pid).children(recursive=True)
        return [child for child in children if identity.TOKEN not in child.environ()]

    def wait(self, seconds: float = 60) -> str:
        """Wait for its end; its output."""
        self.child.wait(seconds)
        return self.log.read_text()


def gone(processes: list[psutil.Process], seconds: float = 10.0) -> None:
    """Wait until none of `processes` runs any more."""
    until(
        lambda: not [p for p in processes if p.is_running() and identity.birth(p.pid)],
        seconds=seconds,
        what=f"the end of {processes}",
    )
