"""What a resource type is, to the gRPC server in `server.py`: one small class per type.

A handler sees plain Python values and raises `ProviderError` with one sentence; everything about the wire (secrets,
unknowns, previews, cancellation, status codes) is the server's. The local machine and the rehearsed clouds are both
made of these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from infra.providers.values import UNKNOWN, Path, Properties, show

Severity = Literal["debug", "info", "warning", "error"]
ChangeKind = Literal["add", "delete", "update"]


class ProviderError(Exception):
    """One operation failed, and nothing was made that the engine has to know of. The text is shown to the person."""


class Cancelled(ProviderError):
    """The person interrupted the update, or the engine is gone; the operation cleaned up after itself."""


class Incomplete(ProviderError):
    """A resource exists but is not in order: the engine keeps it, marks it, and updates it on the next run."""

    def __init__(self, reason: str, state: State) -> None:
        super().__init__(reason)
        self.state = state


@dataclass(frozen=True)
class Failure:
    """One input is wrong. `property` is a property path; `reason` says what was expected and how to put it right."""

    property: str
    reason: str


@dataclass
class Checked:
    """The inputs with defaults filled in, or what is wrong with them."""

    inputs: Properties
    failures: list[Failure] = field(default_factory=list)


@dataclass
class State:
    """A resource as the engine remembers it. `inputs` may be empty in an import."""

    id: str
    inputs: Properties
    outputs: Properties


@dataclass(frozen=True)
class Change:
    """One property that differs. `drift` marks an output that the world changed, not the program."""

    path: Path
    kind: ChangeKind
    replaces: bool = False
    drift: bool = False


@dataclass
class Difference:
    """What an update would do: nothing when `changes` is empty, a replacement when any change asks for it."""

    changes: list[Change] = field(default_factory=list)
    delete_before_replace: bool = False

    def touches(self, *names: str) -> bool:
        """Whether any of the top-level properties `names` changes."""
        return any(change.path[0] in names for change in self.changes)


@dataclass
class Call:
    """One request of the engine: whom it is about, whether it was cancelled, and a way to say something meanwhile.

    `random_seed` comes with a check and stays the same for one resource: names made from it are stable.
    """

    urn: str
    preview: bool = False
    timeout_seconds: float = 0.0
    random_seed: bytes = b""
    cancelled: threading.Event = field(default_factory=threading.Event)
    log: Callable[[Severity, str], None] = lambda severity, message: None
    status: Callable[[str], None] = lambda message: None

    @property
    def name(self) -> str:
        """The resource's own name: what follows the last `::` of the URN."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def stack(self) -> str:
        """`project/stack`, unique within one state backend."""
        stack, project = self.urn.removeprefix("urn:pulumi:").split("::")[:2]
        return f"{project}/{stack}"


class Resource:
    """A resource type. Override what differs; `create` and `delete` are the least."""

    token: ClassVar[str]
    """`package:module:Type`."""

    replacing: ClassVar[frozenset[str]] = frozenset()
    """Top-level inputs whose change makes a new resource."""

    delete_before_replace: ClassVar[bool] = False
    """Whether the old one must go first, because the two cannot exist together."""

    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that only `create` can tell; a preview shows them as unknown."""

    refresh_before_update: ClassVar[bool] = False
    """Whether every preview and update looks at the world first, without being asked with `--refresh`."""

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        """Inputs with defaults, or failures. Values may be `UNKNOWN` in a preview. Touches nothing."""
        return Checked(news)

    def diff(self, call: Call, old: State, news: Properties) -> Difference:
        """What changes from `old` to `news`. Touches nothing."""
        changes = compare(old.inputs, news, self.replacing)
        return Difference(changes, self.delete_before_replace)

    def plan(self, call: Call, old: State | None, news: Properties) -> Properties:
        """The outputs a preview can promise for a creation (`old` is None) or an update. Touches nothing."""
        known = dict(old.outputs) if old else {}
        return {**known, **news, **{name: UNKNOWN for name in self.computed if name not in known}}

    def create(self, call: Call, inputs: Properties) -> State:
        """Make it. Called again after a create whose answer was lost, so it must find what it made before."""
        raise NotImplementedError(f"{self.token} cannot be created")

    def read(self, call: Call, old: State) -> State | None:
        """What is there now, or None when it is gone."""
        return old

    def update(self, call: Call, old: State, news: Properties) -> Properties:
        """Change it in place; returns the outputs."""
        raise NotImplementedError(f"{self.token} cannot be updated in place")

    def delete(self, call: Call, old: State) -> None:
        """Remove it. Succeeds when it is gone already."""
        raise NotImplementedError(f"{self.token} cannot be deleted")


@dataclass
class Provider:
    """A package of resource types served by one plugin process."""

    name: str
    version: str
    resources: Mapping[str, Resource]

    @classmethod
    def of(cls, name: str, version: str, resources: Iterable[Resource]) -> Self:
        """A provider of `resources`, each found by its token."""
        return cls(name, version, {resource.token: resource for resource in resources})

    def configure(self, config: Properties) -> None:
        """Take the provider's configuration; raises ProviderError when it will not do."""

    def invoke(self, call: Call, function: str, arguments: Properties) -> Properties:
        """Answer a function of the package, such as a look-up of what exists; raises ProviderError for an unknown one."""
        raise ProviderError(f"{self.name} has no function {function!r}")

    def resource(self, urn_type: str) -> Resource:
        """The handler of a type, or one sentence naming the types there are."""
        if urn_type not in self.resources:
            raise ProviderError(
                f"{self.name} has no resource type {urn_type!r}; it has {', '.join(sorted(self.resources))}"
            )
        return self.resources[urn_type]


def compare(old: Properties, new: Properties, replacing: Iterable[str] = ()) -> list[Change]:
    """Every place where `new` differs from `old`, as deep as both sides are maps, in the order of the names.

    A value that is not known yet counts as a change: it may turn out to be one.
    """
    replaces = frozenset(replacing)
    return [
        Change(path, kind, replaces=path[0] in replaces)
        for name in sorted(old.keys() | new.keys())
        for path, kind in _compare(old.get(name), new.get(name), (name,))
    ]


def _compare(old: Any, new: Any, path: Path) -> list[tuple[Path, ChangeKind]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted(old.keys() | new.keys())
        return [found for key in keys for found in _compare(old.get(key), new.get(key), (*path, key))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [found for i, pair in enumerate(zip(old, new, strict=True)) for found in _compare(*pair, (*path, i))]
    if _same(old, new):
        return []
    return [(path, "add" if old is None else "delete" if new is None else "update")]


def _same(old: Any, new: Any) -> bool:
    # To Python, True equals 1; to the engine it does not.
    return new is not UNKNOWN and old == new and isinstance(old, bool) == isinstance(new, bool)


def failure(path: Path | str, reason: str) -> Failure:
    """A `Failure` at `path`."""
    return Failure(path if isinstance(path, str) else show(path), reason)
