"""The plugin `pulumi-resource-<cloud>` of a rehearsal: serves a vendor's resource types to the engine from a journal.

    python -m infra.rehearsal.main aws <engine's address>

`ISTHMUS_REHEARSAL` names the rehearsal's folder; without it nothing is served, so that no rehearsal happens by accident.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from infra.providers.base import Call, Provider, ProviderError
from infra.providers.server import serve
from infra.providers.values import Properties
from infra.rehearsal.faults import VARIABLE, Fault
from infra.rehearsal.journal import Journal
from infra.rehearsal.kinds import Account, Rehearsed
from infra.rehearsal.schema import Library

FOLDER = "ISTHMUS_REHEARSAL"


class RehearsedCloud(Provider):
    """A vendor's provider, rehearsed. `region` comes with its configuration, as with the real one."""

    region = ""
    regions: Collection[str] = ()
    """All that the vendor has; none: not known, and any is taken."""
    functions: Mapping[str, Callable[[str, Properties], Properties]] = {}
    """By token; each is given the region and the arguments."""

    def configure(self, config: Properties) -> None:
        self.region = str(config.get("region") or "")
        if not self.region:
            raise ProviderError(f"rehearsal: the {self.name} provider was given no region")
        if self.regions and self.region not in self.regions:
            close = difflib.get_close_matches(self.region, self.regions, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ProviderError(f"rehearsal: {self.name} has no region {self.region!r}{hint}")

    def resource(self, urn_type: str) -> Any:
        if urn_type not in self.resources:
            raise ProviderError(
                f"rehearsal: nothing is known of {urn_type!r}; add a Kind to infra/rehearsal/{self.name}, with its source"
            )
        return self.resources[urn_type]

    def invoke(self, call: Call, function: str, arguments: Properties) -> Properties:
        if function not in self.functions:
            raise ProviderError(f"rehearsal: nothing is known of the function {function!r}")
        return self.functions[function](self.region, arguments)


def rehearsed(cloud: str, folder: Path, environment: Mapping[str, str]) -> RehearsedCloud:
    """The provider of `cloud`, its journal in `folder`."""
    module = importlib.import_module(f"infra.rehearsal.{cloud}")
    library = Library.installed(cloud)
    journal = Journal(folder / f"{cloud}.jsonl")
    fault = Fault.planned(environment.get(VARIABLE, ""))
    provider = RehearsedCloud(cloud, library.version, {})
    provider.regions, provider.functions = module.regions(), module.FUNCTIONS

    def account() -> Account:
        return Account(module.ACCOUNT, provider.region)

    provider.resources = {kind.token: Rehearsed(kind, library, journal, fault, account) for kind in module.KINDS}
    return provider


def main() -> None:
    """Serve until the engine is done."""
    cloud, folder = sys.argv[1], os.environ.get(FOLDER)
    if not folder:
        raise SystemExit(
            f"pulumi-resource-{cloud} of a rehearsal: {FOLDER} is not set; docs/rehearsal.md says how it is used"
        )
    serve(rehearsed(cloud, Path(folder), os.environ), sys.argv[2:])


if __name__ == "__main__":
    main()
