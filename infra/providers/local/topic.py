"""`isthmus:local:Topic`: a topic of a local Kafka broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from infra.providers.base import Call, Change, Checked, Difference, Failure, Resource, State, compare
from infra.providers.inputs import check_inputs, known, parse
from infra.providers.values import UNKNOWN, Properties

if TYPE_CHECKING:
    from infra.providers.local.broker import Broker

TopicName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$")]
Bootstrap = Annotated[str, Meta(pattern=r"^[^,\s:]+:\d+(,[^,\s:]+:\d+)*$")]


class TopicInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What `resources.Topic` documents, as the engine sends it."""

    bootstrap: Bootstrap
    name: TopicName
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 1
    replication: Annotated[int, Meta(ge=1, le=10)] = 1
    config: dict[str, str] = {}
    force: bool = False
    data_id: str = ""

    def open(self) -> Broker:
        """The broker it lives in."""
        from infra.providers.local.broker import Broker

        return Broker(self.bootstrap)


class Topic(Resource):
    """Made on the broker, taken over when it is there already, removed only when it is empty or that was asked for."""

    token = "isthmus:local:Topic"
    replacing = frozenset({"name", "replication"})

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        checked = check_inputs(TopicInputs, news)
        before, after = olds.get("partitions"), known(checked.inputs, "partitions", None)
        same_topic = olds.get("name") == news.get("name")
        if not checked.failures and same_topic and before and after is not None and after < before:
            reason = f"can only grow: it is {before}; ask for {before} or more, or for a topic of another name"
            checked.failures.append(Failure("partitions", reason))
        return checked

    def diff(self, call: Call, old: State, news: Properties) -> Difference:
        changes = compare(old.inputs, news, self.replacing)
        wanted, found = old.inputs.get("partitions", 0), old.outputs.get("partitions", 0)
        # More partitions than asked for cannot be undone, and do no harm.
        if isinstance(found, int) and found < wanted:
            changes.append(Change(("partitions",), "update", drift=True))
        if any(old.outputs.get("config", {}).get(key) != value for key, value in old.inputs.get("config", {}).items()):
            changes.append(Change(("config",), "update", drift=True))
        return Difference(list({change.path: change for change in changes}.values()))

    def plan(self, call: Call, old: State | None, news: Properties) -> Properties:
        return {name: news.get(name, UNKNOWN) for name in ("name", "bootstrap", "partitions", "config")}

    def create(self, call: Call, inputs: Properties) -> State:
        return State(inputs["name"], inputs, self._ensure(inputs, {}))

    def read(self, call: Call, old: State) -> State | None:
        from infra.providers.local.broker import BrokerUnreachable

        if not old.inputs:
            return None
        wanted = parse(TopicInputs, old.inputs)
        try:
            broker = wanted.open()
            count = broker.partitions(wanted.name)
            if count is None:
                return None
            settings = broker.config(wanted.name)
        except BrokerUnreachable:
            # The broker is down, which its own resource tells; what it holds is in its data.
            return old
        found = {key: settings.get(key, "") for key in wanted.config}
        return State(old.id, old.inputs, {**old.outputs, "partitions": count, "config": found})

    def update(self, call: Call, old: State, news: Properties) -> Properties:
        return self._ensure(news, old.inputs.get("config", {}))

    def delete(self, call: Call, old: State) -> None:
        from infra.providers.local.broker import BrokerUnreachable

        wanted = parse(TopicInputs, old.inputs)
        try:
            broker = wanted.open()
            if broker.partitions(wanted.name) is None:
                return
            if wanted.force or broker.is_empty(wanted.name):
                broker.remove(wanted.name)
            else:
                call.log("warning", f"topic {wanted.name!r} holds records and stays; force=True would remove it")
        except BrokerUnreachable as error:
            call.log("info", f"topic {wanted.name!r} stays in its broker's data: {error}")

    def _ensure(self, inputs: Properties, before: Properties) -> Properties:
        wanted = parse(TopicInputs, inputs)
        broker = wanted.open()
        count = broker.partitions(wanted.name)
        if count is None:
            broker.create(wanted.name, wanted.partitions, wanted.replication, wanted.config)
            count = wanted.partitions
        else:
            if count < wanted.partitions:
                broker.grow(wanted.name, wanted.partitions)
                count = wanted.partitions
            broker.configure(wanted.name, wanted.config, [key for key in before if key not in wanted.config])
        return {"name": wanted.name, "bootstrap": wanted.bootstrap, "partitions": count, "config": wanted.config}
