"""The models a server holds: loaded by reference, looked up by name, exchanged when an alias moves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.errors import AdapterError, DeadlineExceeded, NotFound, Transient
from adapters.ports import ModelRegistry
from runtime.domain.problems import Kind, Problem
from runtime.domain.reference import Reference
from runtime.serve.model import Model, load, prepare


@dataclass(frozen=True, slots=True)
class View:
    """One moment's models: what each reference stands for. Never changed, only replaced, so a request sees one moment."""

    by_reference: Mapping[Reference, Model] = field(default_factory=dict)

    def versions(self, name: str) -> list[Model]:
        """Loaded versions of this model, the default first."""
        found: dict[int, Model] = {}
        for reference, model in self.by_reference.items():
            if reference.model == name:
                found.setdefault(model.version, model)
        return list(found.values())

    def names(self) -> list[str]:
        return sorted({reference.model for reference in self.by_reference})


@dataclass(frozen=True, slots=True)
class Change:
    """A reference that now stands for another version, or a look at the registry that failed."""

    reference: Reference
    version: int | None
    sentence: str


class Shelf:
    """Loads every reference, then follows the aliases. `load` and `refresh` block and are called from one thread at a time;
    `view` may be read from any."""

    def __init__(
        self,
        registry: ModelRegistry,
        references: Sequence[Reference],
        *,
        allowed: Collection[str] = (),
        device: str = "cpu",
    ) -> None:
        self._registry, self.references, self._allowed, self._device = (
            registry,
            tuple(references),
            tuple(allowed),
            device,
        )
        self._epochs: dict[str, int] = {}
        self.view = View()

    @property
    def ready(self) -> bool:
        """Whether every reference has its model."""
        return len(self.view.by_reference) == len(self.references)

    def load(self, told: Callable[[Change], None]) -> None:
        """Load whatever is there of what is missing.

        A model that is not registered yet, or a registry that does not answer, leaves `ready` false: call again. Anything
        else that keeps a model from being loaded is raised, and waiting would not mend it.
        """
        prepare()  # while the models are perhaps still being trained
        for reference in self.references:
            if reference in self.view.by_reference:
                continue
            try:
                self._epochs.setdefault(reference.model, self._registry.epoch(reference.model))
                self._put(reference, self._fetch(reference))
            except NotFound:
                told(Change(reference, None, f"waiting for {reference}, which is not registered yet"))
            except (Transient, DeadlineExceeded) as error:
                told(Change(reference, None, f"waiting for {reference}: {error}"))
            else:
                told(self._changed(reference))

    def refresh(self, told: Callable[[Change], None]) -> None:
        """Follow aliases that moved. What cannot be loaded leaves the old version in place, and is told."""
        for name in self.view.names():
            references = [reference for reference in self.references if reference.model == name]
            try:
                epoch = self._registry.epoch(name)
                if epoch == self._epochs.get(name):
                    continue
                for reference in references:
                    version = self._registry.get(name, reference.version).version
                    if version != self.view.by_reference[reference].version:
                        self._put(reference, self._fetch(reference))
                        told(self._changed(reference))
                self._epochs[name] = epoch
            except AdapterError as error:
                told(Change(references[0], None, f"{references[0]} stays as it is: {error}"))

    def find(self, name: str, version: str | None = None) -> Model:
        """The default version, or the one of this number or alias.

        Raises Problem: UNKNOWN_MODEL and UNKNOWN_VERSION list what there is, NOT_READY while it is still loading.
        """
        loaded = self.view.versions(name)
        if not loaded:
            served = sorted({reference.model for reference in self.references})
            if name in served:
                raise Problem(
                    Kind.NOT_READY, f"{name} is still loading: try again in a second", headers={"retry-after": "1"}
                )
            raise Problem(
                Kind.UNKNOWN_MODEL,
                f"no model {name[:80]!r} is served here: there are {', '.join(served)}",
                models=served,
            )
        if version is None:
            return loaded[0]
        for reference, model in self.view.by_reference.items():
            if reference.model == name and version in (str(model.version), str(reference.version)):
                return model
        numbers = [model.version for model in loaded]
        raise Problem(
            Kind.UNKNOWN_VERSION,
            f"version {version[:32]!r} of {name} is not loaded; loaded: {', '.join(map(str, numbers))}",
            versions=numbers,
        )

    def _fetch(self, reference: Reference) -> Model:
        record = self._registry.get(reference.model, reference.version)
        known = next((model for model in self.view.versions(reference.model) if model.version == record.version), None)
        return known or load(self._registry, record, allowed=self._allowed, device=self._device)

    def _put(self, reference: Reference, model: Model) -> None:
        held = {**self.view.by_reference, reference: model}
        self.view = View({known: held[known] for known in self.references if known in held})

    def _changed(self, reference: Reference) -> Change:
        model = self.view.by_reference[reference]
        note = "" if model.same_source else "; its architecture's source changed since, its samples still agree"
        return Change(
            reference, model.version, f"{reference} is version {model.version}, digest {model.record.digest[:12]}{note}"
        )
