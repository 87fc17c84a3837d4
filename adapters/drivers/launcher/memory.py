"""A launcher whose records, and whatever still runs, are gone when it is closed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapters.drivers.launcher.process import ProcessLauncher
from adapters.settings import LauncherSettings


def open(section: LauncherSettings) -> TemporaryLauncher:
    """A launcher of its own; of the settings none applies."""
    return TemporaryLauncher()


class TemporaryLauncher(ProcessLauncher):
    """Processes of this machine, with their records in a temporary folder."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="isthmus-tasks-")
        super().__init__(Path(self._temporary.name))

    def close(self) -> None:
        """Stop every task at once and delete the records."""
        for folder in Path(self._temporary.name).iterdir():
            self.stop(folder.name, grace_seconds=0)
        self._temporary.cleanup()
