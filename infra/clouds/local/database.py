"""The database here: one SQLite file, for one executor process."""

from __future__ import annotations

import pulumi

from adapters.settings import DatabaseSettings
from infra.clouds.local.place import folder
from infra.spec import PlatformSpec


def settings(spec: PlatformSpec) -> pulumi.Output[DatabaseSettings]:
    """Where it is; the first who opens it makes it."""
    return pulumi.Output.from_input(DatabaseSettings(url=f"sqlite:///{folder(spec, 'database') / 'isthmus.db'}"))
