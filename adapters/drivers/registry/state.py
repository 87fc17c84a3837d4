"""What a model's log adds up to: its versions, tags and aliases after the newest entry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.drivers.registry.records import (
    NOTHING_BEFORE,
    AliasMoved,
    Change,
    Entry,
    Registered,
    TagsMerged,
    corrupt,
)
from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import Artifact, ModelVersion

EARLIEST = datetime.min.replace(tzinfo=UTC)


def model_digest(artifacts: Iterable[Artifact]) -> str:
    """SHA-256 over the lines `<sha256>  <name>` in the names' UTF-8 order: what `sha256sum` prints for the files."""
    lines = sorted((artifact.name.encode(), artifact.sha256.encode()) for artifact in artifacts)
    return hashlib.sha256(b"".join(b"%s  %s\n" % (digest, name) for name, digest in lines)).hexdigest()


@dataclass(slots=True)
class ModelState:
    """A fold over entries 1 to `epoch`. Not safe for use by several threads at once: its log guards it."""

    model: str
    epoch: int = 0
    digest: str = NOTHING_BEFORE
    time: datetime = EARLIEST
    aliases: dict[str, int] = field(default_factory=dict)
    newest: int = 0
    """The highest version's number; 0 when there is none."""
    _registered: dict[int, tuple[Registered, datetime, str]] = field(default_factory=dict)
    _tags: dict[int, dict[str, str]] = field(default_factory=dict)

    def apply(self, entry: Entry, digest: str, *, name: str) -> None:
        """Go on to the next entry. Raises Corrupt, naming the record, unless it follows from the one before."""
        if (entry.model, entry.epoch) != (self.model, self.epoch + 1):
            raise corrupt(name, f"it says {entry.model} {entry.epoch}; expected is {self.model} {self.epoch + 1}")
        if entry.previous != self.digest:
            raise corrupt(
                name, f"it follows an entry with SHA-256 {entry.previous}; the one before it has {self.digest}"
            )
        self._check(entry, name)
        self.take(entry.change, epoch=entry.epoch, time=entry.time)
        self.digest = digest

    def take(self, change: Change, *, epoch: int, time: datetime) -> None:
        """The change took effect at this epoch and time."""
        match change:
            case Registered(version=number) as made:
                self._registered[number] = made, time, model_digest(made.artifacts)
                self._tags[number] = dict(made.tags)
                self.newest = number
            case AliasMoved(alias=alias, version=None):
                self.aliases.pop(alias, None)
            case AliasMoved(alias=alias, version=int(number)):
                self.aliases[alias] = number
            case TagsMerged(version=number, tags=tags):
                merged = self._tags[number] | tags
                self._tags[number] = {key: value for key, value in merged.items() if value is not None}
        self.epoch, self.time = epoch, time

    def fits(self, change: Change) -> bool:
        """Whether what the change was decided on still holds; a version may leave numbers out, but goes after all others."""
        match change:
            case Registered(version=number):
                return number > self.newest
            case AliasMoved(alias=alias, was=was, version=target):
                return self.aliases.get(alias) == was and (target is None or target in self._registered)
            case TagsMerged(version=number):
                return number in self._registered

    def _check(self, entry: Entry, name: str) -> None:
        version = entry.change.version
        if version is not None and not 0 < version <= self.newest + isinstance(entry.change, Registered):
            raise corrupt(name, f"it changes version {version}, where there are {self.newest}")

    def registered(self, version: int) -> Registered | None:
        """What was recorded of the version, if there is one of that number."""
        found = self._registered.get(version)
        return found[0] if found else None

    def expect(self, alias: str, version: int | None) -> None:
        """Raises Conflict unless the alias points at the version; None is "not set"."""
        was = self.aliases.get(alias)
        if was != version:
            points = "is not set" if was is None else f"points at version {was}"
            raise Conflict(
                f"the alias {points}, which is not the expected {version}",
                name=f"{self.model}@{alias}",
                cure="read it again and decide again",
            )

    def number(self, version: int | str) -> int:
        """The number that is meant by a number or an alias. Raises NotFound, saying what there is."""
        if isinstance(version, str):
            if version in self.aliases:
                return self.aliases[version]
            known = ", ".join(sorted(self.aliases)) or "none yet"
            raise NotFound(
                "no such alias",
                name=f"{self.model}@{version}",
                cure=f"aliases are: {known}; a version's number goes in as int",
            )
        if not isinstance(version, int) or isinstance(version, bool):
            raise Invalid(
                f"expected a version's number or an alias, not {version!r}", name=self.model, cure="such as 3"
            )
        if version in self._registered:
            return version
        raise NotFound(
            "no such version", name=f"{self.model} {version}", cure=f"versions are {_spans(self._registered)}"
        )

    def version(self, version: int | str) -> ModelVersion:
        """One version as it is now. Raises NotFound."""
        number = self.number(version)
        made, time, digest = self._registered[number]
        return ModelVersion(
            model=self.model,
            version=number,
            artifacts=made.artifacts,
            metrics=dict(made.metrics),
            params=dict(made.params),
            lineage=dict(made.lineage),
            created=time,
            digest=digest,
            tags=dict(self._tags[number]),
            aliases=tuple(sorted(alias for alias, target in self.aliases.items() if target == number)),
        )

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        return [self.version(number) for number in sorted(self._registered, reverse=True)]


def _spans(numbers: Iterable[int]) -> str:
    """Such as `1 to 4, 6`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    said = (f"{first}" if first == last else f"{first} to {last}" for first, last in spans)
    return ", ".join(said) or "none yet"
