"""`isthmus:local:Process`: one long-running program of this machine."""

from __future__ import annotations

from pathlib import Path

import tools
from infra.providers.base import Call, Change, Checked, Difference, ProviderError, Resource, State, compare
from infra.providers.inputs import parse
from infra.providers.local import launch, places, records, spec
from infra.providers.local.places import Place
from infra.providers.local.records import Record
from infra.providers.local.spec import RESTARTING, ProcessInputs
from infra.providers.local.templates import render
from infra.providers.values import UNKNOWN, Properties, has_unknown


class Process(Resource):
    """Started in a session of its own, known by pid and time of birth, ended with all it started."""

    token = "isthmus:local:Process"
    replacing = frozenset({"program"})
    # Two of one place would share its ports and its data.
    delete_before_replace = True
    computed = frozenset({"pid", "started", "ports", "urls", "data_id"})
    # A machine that was restarted has lost its processes: plain `pulumi up` brings them back.
    refresh_before_update = True

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        return spec.check(news)

    def diff(self, call: Call, old: State, news: Properties) -> Difference:
        changes = compare(old.inputs, news, self.replacing)
        if old.outputs.get("running") is False:
            changes.append(Change(("running",), "update", drift=True))
        return Difference(changes, self.delete_before_replace)

    def plan(self, call: Call, old: State | None, news: Properties) -> Properties:
        place = Place.of(old.id if old else _identifier(call))
        outputs: Properties = dict.fromkeys(self.computed, UNKNOWN)
        outputs |= {"running": True, "dir": str(place.dir), "data": str(place.data), "log": str(place.log)}
        secrets = news.get("secrets", [])
        known = not has_unknown(secrets)
        outputs["secret_files"] = {name: str(place.secret(name)) for name in secrets} if known else UNKNOWN
        if old is None:
            return outputs
        difference = self.diff(call, old, news)
        restarts = _restarts(difference)
        kept = ("data_id",) if restarts else ("data_id", "pid", "started")
        outputs |= {name: old.outputs.get(name, UNKNOWN) for name in kept}
        if not difference.touches("ports"):
            outputs["ports"] = old.outputs.get("ports", UNKNOWN)
            if not difference.touches("urls", "files", "secrets"):
                outputs["urls"] = old.outputs.get("urls", UNKNOWN)
        return outputs

    def create(self, call: Call, inputs: Properties) -> State:
        identifier = _identifier(call)
        return State(identifier, inputs, _bring_up(call, identifier, inputs, {}))

    def read(self, call: Call, old: State) -> State | None:
        if not old.inputs:
            return None
        place, wanted = _place(old), parse(ProcessInputs, old.inputs)
        record = records.load(place)
        # One that was started with other inputs, by an update whose answer was lost, is not the one in the state.
        if record is not None and record.alive and record.digest == launch.digest(wanted):
            return State(old.id, old.inputs, _outputs(place, wanted, record))
        return State(old.id, old.inputs, {**old.outputs, "running": False})

    def update(self, call: Call, old: State, news: Properties) -> Properties:
        _place(old)
        return _bring_up(call, old.id, news, old.outputs.get("ports", {}))

    def delete(self, call: Call, old: State) -> None:
        launch.take_down(_place(old), call, bool(old.inputs.get("keep_data", True)))


def _place(old: State) -> Place:
    """Where it was started; raises ProviderError while it belongs to another ISTHMUS_HOME than this one."""
    place = Place.of(old.id)
    before = Path(old.outputs.get("dir", place.dir))
    if before != place.dir and before.exists():
        home = before.parents[3]
        raise ProviderError(
            f"{old.id} was started with ISTHMUS_HOME={home}, and this is {tools.home()}: set it to that"
        )
    return place


def _identifier(call: Call) -> str:
    return places.identifier(call.urn, call.stack, call.name)


def _restarts(difference: Difference) -> bool:
    return difference.touches("running", *RESTARTING)


def _bring_up(call: Call, identifier: str, inputs: Properties, preferred: dict[str, int]) -> Properties:
    place, wanted = Place.of(identifier), parse(ProcessInputs, inputs)
    return _outputs(place, wanted, launch.bring_up(place, wanted, call, preferred))


def _outputs(place: Place, wanted: ProcessInputs, record: Record) -> Properties:
    scope = launch.scope_of(place, wanted, record.ports, {}, record.name)
    return {
        "running": True,
        "pid": record.pid,
        "started": record.started,
        "ports": record.ports,
        "urls": {name: render(text, scope) for name, text in wanted.urls.items()},
        "dir": str(place.dir),
        "data": str(place.data),
        "data_id": place.data_id(),
        "log": str(place.log),
        "secret_files": {name: str(place.secret(name)) for name in wanted.secrets},
    }
