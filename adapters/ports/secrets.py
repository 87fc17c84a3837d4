"""Secrets."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """Secret values by name. They are never logged, never part of an error's text, never in settings."""

    def get(self, name: str) -> str:
        """The newest value. Raises NotFound or Denied (neither holds any part of a value)."""
        ...
