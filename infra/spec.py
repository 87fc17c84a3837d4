"""PlatformSpec: what an environment wants, in no cloud's words. It is the `platform` object of a stack file.

    # stacks/Pulumi.local.yaml
    config:
      isthmus:platform:
        cloud: local
        cache: {memory_mib: 256}

Every field has a default that is the cheapest sensible choice; a field that is not known is refused by its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from adapters.settings import known_cloud

Count = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""Lower-case letters, digits and inner hyphens, at most 40: legal in every cloud's names."""
TopicName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]


class SpecError(ValueError):
    """A stack asks for something that cannot be: `place` is the path inside `platform`, such as `cache.memory_mib`."""

    def __init__(self, reason: str, place: str = "") -> None:
        self.reason, self.place = reason, place
        super().__init__(f"platform.{place}: {reason}" if place else reason)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class StorageSpec(_Section, frozen=True):
    """Object storage: one versioned, private bucket that holds artifacts, data sets and the model registry."""

    bucket: Name = "artifacts"
    """Its base name; a cloud with global names adds what makes it unique."""


class CacheSpec(_Section, frozen=True):
    """Redis: what can be lost and rebuilt."""

    memory_mib: Annotated[int, msgspec.Meta(ge=16)] = 128


class TopicSpec(_Section, frozen=True):
    """One topic of the event log."""

    partitions: Count = 1
    retention_hours: Count = 168


class StreamSpec(_Section, frozen=True):
    """Kafka: the event log."""

    heap_mib: Annotated[int, msgspec.Meta(ge=128)] = 256
    """Per broker."""
    topics: dict[TopicName, TopicSpec] = {}


class ServingSpec(_Section, frozen=True):
    """The model servers."""

    models: tuple[Name, ...] = ()
    """Served by their alias `champion`, from when the registry has one."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where clients connect; 0 takes a free one."""
    threads: Count = 1
    """Of inference, per server."""


class PlatformSpec(_Section, frozen=True):
    """One environment. `environment` is the stack's name."""

    environment: Name
    cloud: str = "local"
    """Whose infrastructure: a folder of `infra/clouds`."""
    adapters: tuple[str, ...] = ()
    """Only on `local`: the clouds whose adapters may run here against local servers, chosen by `CLOUD_PROVIDER`."""
    storage: StorageSpec = StorageSpec()
    cache: CacheSpec = CacheSpec()
    stream: StreamSpec = StreamSpec()
    serving: ServingSpec = ServingSpec()


def load(platform: Mapping[str, Any], *, environment: str) -> PlatformSpec:
    """The specification in a stack's `platform` object. Raises SpecError, which names the place and what was expected."""
    if not isinstance(platform, Mapping):
        raise SpecError(f"Expected `object`, got {platform!r}; an empty one, {{}}, takes every default")
    if "environment" in platform:
        raise SpecError("the environment is the stack's name: leave this out", place="environment")
    try:
        spec = msgspec.convert({**platform, "environment": environment}, PlatformSpec)
    except msgspec.ValidationError as error:
        raise SpecError(*_reason(error)) from error
    if spec.cloud not in (known := clouds()):
        raise SpecError(f"no infrastructure for {spec.cloud!r}; there is {', '.join(known)}", place="cloud")
    if spec.adapters and spec.cloud != "local":
        raise SpecError(
            f"only a local stack may run another cloud's adapters, this one is {spec.cloud!r}", place="adapters"
        )
    for name in spec.adapters:
        try:
            known_cloud(name)
        except ValueError as error:
            raise SpecError(str(error), place="adapters") from error
    return spec


def _reason(error: msgspec.ValidationError) -> tuple[str, str]:
    """msgspec's complaint as a reason and the place: of an unknown field its own, of a wrong name the object that has it."""
    reason, _, where = str(error).partition(" - at ")
    of_name, _, place = where.strip("`").rpartition("` in `")
    place = place.removeprefix("$").removeprefix(".")
    if of_name:
        reason = f"one of its names is wrong: {reason}"
    if unknown := re.search(r"unknown field `(.+)`", reason):
        place = f"{place}.{unknown[1]}".removeprefix(".")
    return reason, place


def active_adapters(spec: PlatformSpec, requested: str) -> str:
    """Whose adapters run: `requested` (the value of CLOUD_PROVIDER, may be empty) before the stack's own cloud.

    Raises SpecError when they disagree and the stack does not say that it may switch.
    """
    if not requested or requested == spec.cloud:
        return spec.cloud
    known_cloud(requested)
    if requested in spec.adapters:
        return requested
    allowed = f" or one of {', '.join(spec.adapters)}" if spec.adapters else ""
    raise SpecError(
        f"CLOUD_PROVIDER is {requested!r}, but stack {spec.environment!r} is {spec.cloud!r}{allowed}; "
        "unset the variable, or choose a stack of that cloud",
    )


def clouds() -> list[str]:
    """Names of the clouds there is infrastructure for: the folders of `infra/clouds`."""
    from pathlib import Path

    folder = Path(__file__).parent / "clouds"
    return sorted(entry.name for entry in folder.iterdir() if (entry / "__init__.py").is_file())
