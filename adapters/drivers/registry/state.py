"""What a model's log adds up to: its versions, tags and aliases after the newest entry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.drivers.registry.records import NOTHING_BEFORE, AliasMoved, Entry, Registered, TagsMerged, corrupt
from adapters.errors import Invalid, NotFound
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
    _registered: list[tuple[Registered, datetime, str]] = field(default_factory=list)
    _tags: list[dict[str, str]] = field(default_factory=list)

    @property
    def newest(self) -> int:
        """The highest version's number; 0 when there is none."""
        return len(self._registered)

    def apply(self, entry: Entry, digest: str, *, name: str) -> None:
        """Go on to the next entry. Raises Corrupt, naming the record, unless it follows from the one before."""
        if (entry.model, entry.epoch) != (self.model, self.epoch + 1):
            raise corrupt(name, f"it says {entry.model} {entry.epoch}; expected is {self.model} {self.epoch + 1}")
        if entry.previous != self.digest:
            raise corrupt(
                name, f"it follows an entry with SHA-256 {entry.previous}; the one before it has {self.digest}"
            )
        self._check(entry, name)
        match entry.change:
            case Registered() as made:
                self._registered.append((made, entry.time, model_digest(made.artifacts)))
                self._tags.append(dict(made.tags))
            case AliasMoved(alias=alias, version=None):
                self.aliases.pop(alias, None)
            case AliasMoved(alias=alias, version=int(number)):
                self.aliases[alias] = number
            case TagsMerged(version=number, tags=tags):
                merged = self._tags[number - 1] | tags
                self._tags[number - 1] = {key: value for key, value in merged.items() if value is not None}
        self.epoch, self.digest, self.time = entry.epoch, digest, entry.time

    def _check(self, entry: Entry, name: str) -> None:
        version = entry.change.version
        if version is not None and not 0 < version <= self.newest + isinstance(entry.change, Registered):
            raise corrupt(name, f"it changes version {version}, where there are {self.newest}")

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
        if 0 < version <= self.newest:
            return version
        raise NotFound("no such version", name=f"{self.model} {version}", cure=f"versions are 1 to {self.newest}")

    def version(self, version: int | str) -> ModelVersion:
        """One version as it is now. Raises NotFound."""
        number = self.number(version)
        made, time, digest = self._registered[number - 1]
        return ModelVersion(
            model=self.model,
            version=number,
            artifacts=made.artifacts,
            metrics=dict(made.metrics),
            params=dict(made.params),
            lineage=dict(made.lineage),
            created=time,
            digest=digest,
            tags=dict(self._tags[number - 1]),
            aliases=tuple(sorted(alias for alias, target in self.aliases.items() if target == number)),
        )

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        return [self.version(number) for number in range(self.newest, 0, -1)]
