"""One stack of the checkout and where its state lies: what the engine has to be told, whoever starts it.

The local stack keeps everything in the per-user home, away from the person's own Pulumi, and has an empty passphrase
because its state holds no secret. Any other stack takes backend, secrets provider and login from the person's own Pulumi.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tools
from cli.failure import WRONG_INPUT, Failure

PROJECT = "isthmus"
DEFAULT = "local"


def existing(name: str) -> str:
    """`name`, if there is a stack file of that name. Raises Failure with exit code 2, which lists those there are."""
    there = sorted(path.name[7:-5] for path in (tools.checkout() / "stacks").glob("Pulumi.*.yaml"))
    if name in there:
        return name
    raise Failure(f"no stack {name!r}: there is {', '.join(there) or 'none'} in stacks/", code=WRONG_INPUT)


@dataclass(frozen=True)
class Stack:
    """A named environment: the file `stacks/Pulumi.<name>.yaml` and its state."""

    name: str = DEFAULT

    @property
    def file(self) -> Path:
        """The stack file people edit."""
        return tools.checkout() / "stacks" / f"Pulumi.{self.name}.yaml"

    @property
    def is_local(self) -> bool:
        """Whether its state lives in the per-user home."""
        return self.name == DEFAULT

    @property
    def outputs_folder(self) -> Path:
        """Where `isthmus up` writes the settings of each cloud's adapters, `<cloud>.json`."""
        return tools.home() / "outputs" / self.name

    def variables(self) -> dict[str, str]:
        """What the engine's environment needs on top of the person's: PATH, backend, home, passphrase."""
        chosen = dict(tools.locate("pulumi").env)
        if self.is_local:
            state = tools.home() / "state"
            state.mkdir(parents=True, exist_ok=True)
            chosen |= {
                "PULUMI_BACKEND_URL": f"file://{state}",
                "PULUMI_HOME": str(tools.home() / "pulumi"),
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            }
        return chosen

    def environment(self) -> dict[str, str]:
        """The whole environment to run the engine in."""
        mine = {name: value for name, value in os.environ.items() if name != "PULUMI_CONFIG_PASSPHRASE_FILE"}
        return (mine if self.is_local else dict(os.environ)) | self.variables()

    def checkpoint(self) -> dict[str, Any]:
        """The local stack's newest saved state, `{}` when there is none. Reading it costs no engine run."""
        path = tools.home() / "state" / ".pulumi" / "stacks" / PROJECT / f"{self.name}.json"
        if not self.is_local or not path.is_file():
            return {}
        return _document(path).get("checkpoint", {}).get("latest") or {}

    def locks(self) -> list[dict[str, Any]]:
        """Updates that hold the local stack's lock, each with `pid` and `timestamp`; their process may be dead."""
        folder = tools.home() / "state" / ".pulumi" / "locks" / "organization" / PROJECT / self.name
        return [_document(path) for path in sorted(folder.glob("*.json"))] if self.is_local else []

    def platform(self) -> dict[str, Any] | None:
        """The `platform` output as exported last, or None before the first update."""
        for resource in self.checkpoint().get("resources", []):
            if resource.get("type") == "pulumi:pulumi:Stack":
                return resource.get("outputs", {}).get("platform")
        return None


def _document(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise Failure(
            f"{path} is damaged ({error}): put a copy of it back, such as the `.bak` that Pulumi leaves beside it, or move it "
            "away; what runs is found again by the next `isthmus up`"
        ) from error
