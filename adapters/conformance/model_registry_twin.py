"""What a model registry does, in a dictionary: the other half of the suite's random test."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

from adapters.errors import AdapterError, Conflict, NotFound
from adapters.ports import ModelRegistry, ModelVersion


class RegistryTwin:
    """Same calls, same errors, answers as plain dictionaries. Not for several threads."""

    def __init__(self) -> None:
        self._models: dict[str, list[dict[str, Any]]] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self._changes = 0

    def register(
        self, model: str, files: dict[str, bytes], *, metrics: dict[str, float], params: dict[str, str]
    ) -> dict[str, Any]:
        versions = self._models.setdefault(model, [])
        (body,) = files.values()
        made = {"digest": hashlib.sha256(body).hexdigest(), "metrics": metrics, "params": params, "tags": {}}
        versions.append({"version": len(versions) + 1, **made})
        return self.get(model, len(versions))

    def get(self, model: str, version: int | str) -> dict[str, Any]:
        if isinstance(version, str):
            self._version(model, 1)
            version = self._aliases.get((model, version), 0)
        found = self._version(model, version)
        aliases = sorted(alias for (name, alias), at in self._aliases.items() if (name, at) == (model, version))
        return {**found, "aliases": tuple(aliases)}

    def set_alias(self, model: str, alias: str, version: int | None, *, expected: int | None) -> int:
        self._version(model, 1 if version is None else version)
        if expected not in (-1, self._aliases.get((model, alias))):
            raise Conflict("not where it is expected")
        if version is None:
            self._aliases.pop((model, alias), None)
        else:
            self._aliases[model, alias] = version
        return self._changed()

    def set_tags(self, model: str, version: int, tags: dict[str, str | None]) -> int:
        found = self._version(model, version)
        found["tags"] = {key: value for key, value in (found["tags"] | tags).items() if value is not None}
        return self._changed()

    def view(self, model: str) -> dict[int, dict[str, Any]]:
        """All versions by number; none of an unknown model."""
        return {found["version"]: self.get(model, found["version"]) for found in self._models.get(model, [])}

    def _version(self, model: str, version: int) -> dict[str, Any]:
        versions = self._models.get(model, [])
        if not 0 < version <= len(versions):
            raise NotFound("no such version")
        return versions[version - 1]

    def _changed(self) -> int:
        self._changes += 1
        return self._changes


def random_change(rng: random.Random, models: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    """A call and its arguments, for `answer`."""
    name = rng.choice(models)
    alias = rng.choice(("champion", "challenger"))
    number = rng.randrange(1, 6)
    match rng.randrange(4):
        case 0:
            body = rng.choice((b"one", b"two"))
            return "register", (name, {"file": body}, {"accuracy": rng.random()}, {"depth": str(number)})
        case 1:
            return "set_alias", (name, alias, rng.choice((number, None)), rng.choice((-1, None, 1, 2, 3)))
        case 2:
            return "set_tags", (name, number, {rng.choice("ab"): rng.choice(("x", "y", None))})
        case _:
            return "get", (name, rng.choice((number, alias)))


def answer(registry: ModelRegistry | RegistryTwin, call: str, arguments: tuple[Any, ...]) -> Any:
    """What the call returns, said as the twin says it, or the kind of error it raises."""
    model, *rest = arguments
    try:
        match call:
            case "register":
                files, metrics, params = rest
                return plain(registry.register(model, files, metrics=metrics, params=params))
            case "set_alias":
                alias, version, expected = rest
                return registry.set_alias(model, alias, version, expected=expected) > 0
            case "set_tags":
                return registry.set_tags(model, *rest) > 0
            case _:
                return plain(registry.get(model, *rest))
    except AdapterError as error:
        return type(error)


def view(registry: ModelRegistry, model: str) -> dict[int, dict[str, Any]]:
    """All versions by number, as the twin says them; none of an unknown model."""
    try:
        return {found.version: plain(found) for found in registry.versions(model)}
    except NotFound:
        return {}


def plain(version: ModelVersion | dict[str, Any]) -> dict[str, Any]:
    """A version of one file, as the twin says it."""
    if isinstance(version, dict):
        return version
    return {
        "version": version.version,
        "digest": version.artifacts[0].sha256,
        "metrics": dict(version.metrics),
        "params": dict(version.params),
        "tags": dict(version.tags),
        "aliases": version.aliases,
    }
