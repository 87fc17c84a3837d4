"""PlatformOutputs: what an environment gives back, under the same names on every cloud, and never a secret."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.settings import Settings

SCHEMA = 1


class PlatformOutputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The one document an update ends with; `settings` is all that a process of the runtime reads."""

    environment: str
    cloud: str
    """Whose infrastructure it is."""
    settings: Settings
    """For the adapters in use."""
    alternatives: dict[str, Settings] = {}
    """For each other cloud whose adapters reach this environment too; only `local` has any."""
    endpoints: dict[str, str] = {}
    """Base URLs by what they are for: `predict`, `management`, `object-storage`."""
    schema: int = SCHEMA

    def exported(self) -> dict[str, Any]:
        """As plain values for `pulumi.export`."""
        return msgspec.to_builtins(self)


def parse(exported: Any) -> PlatformOutputs:
    """What `exported` returned, read back. Raises msgspec.ValidationError, which says where it is wrong."""
    return msgspec.convert(exported, PlatformOutputs)
