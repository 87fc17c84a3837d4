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
from typing import Annotated, Any, Literal

import msgspec

from adapters.settings import known_cloud
from infra import layout, tiers

Count = Annotated[int, msgspec.Meta(ge=1)]
Days = Annotated[int, msgspec.Meta(ge=1, le=36500)]
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


class TiersSpec(_Section, frozen=True):
    """When an object moves to cheaper storage and when it goes, in days since it was written; None: never.

    `hot` is where it starts; `warm` and `cold` are the storage classes of the same names in `adapters`: still read at once,
    cheaper to keep, dearer to read, and paid for at least 30 and 90 days.
    """

    warm_after_days: Days | None = None
    cold_after_days: Days | None = None
    delete_after_days: Days | None = None
    previous_versions_days: Days | None = 30
    """How long a version is kept after it was overwritten or deleted."""
    broken_uploads_days: Days = 7
    """How long the parts of an upload that was never finished are kept."""


class StorageSpec(_Section, frozen=True):
    """Object storage: one versioned, private bucket that holds artifacts, data sets and the model registry."""

    bucket: Name = "artifacts"
    """Its base name; a cloud with global names adds what makes it unique."""
    tiers: TiersSpec = TiersSpec()
    """On `local` nothing moves: there is one kind of disk."""


class NetworkSpec(_Section, frozen=True):
    """A private network over several zones. `local` has none: all of it is on the loopback interface."""

    cidr: str = "10.0.0.0/16"
    """Of the whole network; each zone gets a private and a small public part of it."""
    zones: Annotated[int, msgspec.Meta(ge=2, le=6)] = 3
    nat: Literal["none", "single", "per-zone"] = "single"
    """How private nodes reach the internet: not at all, through one gateway, or through one a zone, which outlives a zone's
    loss and costs as many times as much."""


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
    network: NetworkSpec = NetworkSpec()
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
    try:
        layout.zones(spec.network.cidr, spec.network.zones)
    except layout.LayoutError as error:
        raise SpecError(str(error), place="network.cidr") from error
    for place, reason in tiers.mistakes(spec.storage.tiers):
        raise SpecError(reason, place=f"storage.tiers.{place}")
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
