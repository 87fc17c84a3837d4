"""Where this machine keeps what belongs to an environment but to no one process."""

from __future__ import annotations

from pathlib import Path

import tools
from infra.spec import PlatformSpec


def folder(spec: PlatformSpec, name: str) -> Path:
    """A private folder of the environment, made when it is not there."""
    path = tools.home() / name / spec.environment
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
