"""Secrets in this process, for tests and notebooks."""

from __future__ import annotations

from adapters.drivers.secrets import names
from adapters.errors import NotFound
from adapters.settings import SecretsSettings


def open(section: SecretsSettings) -> MemorySecrets:
    """An empty manager of its own; of the settings none applies."""
    return MemorySecrets()


class MemorySecrets:
    """A dictionary of values that `repr` does not show."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, name: str) -> str:
        value = self._values.get(names.checked(name))
        if value is None:
            raise NotFound("no such secret", name=name, cure="put it first")
        return value

    def put(self, name: str, value: str) -> None:
        """Store a value; not of the port, for the test that needs one."""
        self._values[names.checked(name)] = value
