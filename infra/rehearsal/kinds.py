"""A resource type of a rehearsed cloud: what the vendor's schema does not say, said once, and the handler made of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.providers.base import Call, Checked, Difference, Failure, ProviderError, Resource, State, compare, failure
from infra.providers.values import UNKNOWN, Properties, has_unknown, strings_in
from infra.rehearsal import check
from infra.rehearsal.faults import Fault
from infra.rehearsal.journal import Journal, Line, Thing
from infra.rehearsal.schema import Library


@dataclass(frozen=True)
class Naming:
    """How the provider names a resource that was given no name: `<name>-<7 hexadecimal digits>` in `property`."""

    property: str
    pattern: str
    """A regular expression for the whole name: what the cloud accepts."""
    rule: str
    """The same in words."""
    prefix: str = ""
    """The input that gives a prefix instead, if there is one."""


@dataclass(frozen=True)
class Kind:
    """One type. `source` is where its rules were read: the vendor's page."""

    token: str
    source: str
    identify: Callable[[Making], str]
    outputs: Callable[[Making], Properties] = lambda making: {}
    """Computed outputs by name. A preview foretells every one of the schema; those that are not here come out as none."""
    naming: Naming | None = None
    replaces: frozenset[str] = frozenset()
    """Inputs whose change makes a new resource."""
    checks: tuple[Callable[[Properties], Iterable[tuple[str, str]]], ...] = ()
    """Each yields (property path, what is wrong) over inputs that fit the schema and are known."""
    unique: tuple[str, ...] = ()
    """Inputs of which no two resources may share the values."""
    clashes: Callable[[Making, list[Thing]], str] = lambda making, things: ""
    """What forbids the resource beside those that exist already; empty: nothing."""
    held_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Types, with those of their inputs that, while they name this resource, forbid its deletion."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Inputs that the provider fills in."""


@dataclass(frozen=True)
class Making:
    """A resource while it is made: its inputs, and who makes it where."""

    kind: Kind
    inputs: Properties
    urn: str
    account: Account
    serial: int
    """Which one of its URN this is, from 0: a replacement is another resource than what it replaces."""

    @property
    def name(self) -> str:
        """Its name in the cloud."""
        return str(self.inputs[self.kind.naming.property]) if self.kind.naming else self.urn.rsplit("::", 1)[-1]

    def token(self, length: int, alphabet: str = "0123456789abcdef", salt: str = "") -> str:
        """Characters that look random, are the same for a resource however it is updated, and differ between resources."""
        text = f"{salt}|{self.urn}|{self.serial}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest())
        digits = []
        for _ in range(length):
            number, digit = divmod(number, len(alphabet))
            digits.append(alphabet[digit])
        return "".join(digits)


@dataclass(frozen=True)
class Account:
    """The account, subscription or project that is rehearsed, and where."""

    id: str
    region: str


class Rehearsed(Resource):
    """The engine's calls for one kind, answered from a journal."""

    def __init__(self, kind: Kind, library: Library, journal: Journal, fault: Fault, account: Callable[[], Account]):
        self._kind, self._library, self._journal, self._fault, self._account = kind, library, journal, fault, account

    @property
    def token(self) -> str:  # type: ignore[override]
        return self._kind.token

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        inputs = {**self._kind.defaults, **{name: value for name, value in news.items() if value is not None}}
        self._name(call, olds, inputs)
        failures = check.mistakes(self._library, self._kind.token, inputs)
        if not failures:
            failures += self._rules(inputs)
        return Checked(inputs, failures)

    def _name(self, call: Call, olds: Properties, inputs: Properties) -> None:
        naming = self._kind.naming
        if naming is None or naming.property in inputs:
            return
        if naming.property in olds:
            inputs[naming.property] = olds[naming.property]
            return
        start = inputs.get(naming.prefix) if naming.prefix else None
        random = hashlib.sha256(call.random_seed or call.urn.encode()).hexdigest()[:7]
        inputs[naming.property] = f"{start}{random}" if isinstance(start, str) else f"{call.name}-{random}"

    def _rules(self, inputs: Properties) -> list[Failure]:
        failures = []
        if naming := self._kind.naming:
            name = inputs[naming.property]
            if isinstance(name, str) and not re.fullmatch(naming.pattern, name):
                failures.append(Failure(naming.property, f"is {name!r}; {naming.rule}"))
        for rule in self._kind.checks:
            failures += [failure(path, reason) for path, reason in rule(inputs)]
        return failures

    def diff(self, call: Call, old: State, news: Properties) -> Difference:
        schema = self._library.type(self._kind.token)
        said = {name for name, told in schema.inputs.items() if told.replaces}
        return Difference(compare(old.inputs, news, self._kind.replaces | said), delete_before_replace=False)

    def plan(self, call: Call, old: State | None, news: Properties) -> Properties:
        computed = self._library.type(self._kind.token).outputs
        known = old.outputs if old else {}
        return {**{name: known.get(name, UNKNOWN) for name in computed}, **news}

    def create(self, call: Call, inputs: Properties) -> State:
        lost = self._fault.before(call)
        with self._journal.changing():
            making = Making(self._kind, inputs, call.urn, self._account(), self._journal.created(call.urn))
            self._refuse_taken(making)
            state = State(self._kind.identify(making), inputs, self._outputs(making))
            line = Line("create", self._kind.token, state.id, call.urn, inputs, state.outputs, making.serial)
            self._journal.write(line)
        if lost:
            self._fault.lose()
        return state

    def read(self, call: Call, old: State) -> State | None:
        thing = self._journal.find(self._kind.token, old.id)
        return State(thing.id, thing.inputs, thing.outputs) if thing else None

    def update(self, call: Call, old: State, news: Properties) -> Properties:
        lost = self._fault.before(call)
        with self._journal.changing():
            thing = self._journal.find(self._kind.token, old.id)
            if thing is None:
                raise ProviderError(
                    f"rehearsal: {self._kind.token} {old.id} does not exist; `pulumi refresh` sees that"
                )
            outputs = self._outputs(Making(self._kind, news, thing.urn, self._account(), thing.serial))
            self._journal.write(Line("update", self._kind.token, old.id, thing.urn, news, outputs, thing.serial))
        if lost:
            self._fault.lose()
        return outputs

    def delete(self, call: Call, old: State) -> None:
        lost = self._fault.before(call)
        with self._journal.changing():
            thing = self._journal.find(self._kind.token, old.id)
            if thing is not None:
                self._refuse_held(thing)
                self._journal.write(Line("delete", self._kind.token, old.id, thing.urn))
        if lost:
            self._fault.lose()

    # -- what a cloud refuses

    def _refuse_taken(self, making: Making) -> None:
        names, things = self._kind.unique, self._journal.things()
        mine = tuple(making.inputs.get(name) for name in names)
        for thing in things:
            if thing.type == self._kind.token and mine and mine == tuple(map(thing.inputs.get, names)):
                raise self._refusal(making.urn, f"{' and '.join(names)} {mine[0]!r} is taken by {thing.urn}")
        if why := self._kind.clashes(making, things):
            raise self._refusal(making.urn, why)

    def _refuse_held(self, thing: Thing) -> None:
        names = {thing.id, *(value for value in (thing.outputs.get("arn"), thing.outputs.get("name")) if value)}
        for other in self._journal.things():
            for held in self._kind.held_by.get(other.type, ()):
                if names & {*strings_in(other.inputs.get(held))}:
                    raise self._refusal(
                        thing.urn, f"{thing.id} is in use by {other.urn.rsplit('::', 1)[-1]} ({other.id})"
                    )

    def _refusal(self, urn: str, why: str) -> ProviderError:
        self._journal.write(Line("refused", self._kind.token, "", urn, why=why))
        return ProviderError(f"rehearsal: {why}")

    def _outputs(self, making: Making) -> Properties:
        assert not has_unknown(making.inputs), "the engine changes nothing before it knows"
        return {**making.inputs, **self._kind.outputs(making)}
