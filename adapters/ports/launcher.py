"""The launcher of tasks."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class TaskState(enum.StrEnum):
    """Where a task is. The last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Task:
    """A command to run to its end in the runtime's environment. `name` is unique and makes `launch` idempotent."""

    name: str
    module: str
    """The Python module to run, such as `runtime.train.main`."""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cpu: float = 1.0
    memory_bytes: int = 1 << 30
    gpus: int = 0
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task now. `exit_code` is set in a final state: negative is the signal that ended it."""

    state: TaskState
    exit_code: int | None = None
    reason: str = ""


class Launcher(Protocol):
    """Starts tasks where this platform runs them: processes here, Jobs on Kubernetes."""

    def launch(self, task: Task) -> None:
        """Start it; the same name and content again is no second start, other content is Conflict."""
        ...

    def status(self, name: str) -> TaskStatus:
        """Raises NotFound."""
        ...

    def stop(self, name: str, *, grace_seconds: float = 30.0) -> None:
        """SIGTERM, then after the grace SIGKILL; final when it returns. Of a finished task nothing changes."""
        ...

    def logs(self, name: str, *, tail: int = 200) -> list[str]:
        """The last lines of its output, oldest first. Raises NotFound."""
        ...
