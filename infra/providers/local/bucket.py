"""`isthmus:local:Bucket`: a bucket of a local object store."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from infra.providers.base import Call, Change, Checked, Difference, Failure, Resource, State, compare
from infra.providers.inputs import check_inputs, known, parse
from infra.providers.local.store import Store, Unreachable
from infra.providers.local.stores import open_store
from infra.providers.values import UNKNOWN, Properties

BucketName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Url = Annotated[str, Meta(pattern=r"^https?://")]


class BucketInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What `resources.Bucket` documents, as the engine sends it."""

    kind: Literal["s3", "gcs"]
    endpoint: Url
    name: BucketName
    access_key_file: str = ""
    secret_key_file: str = ""
    versioning: bool = False
    force: bool = False
    data_id: str = ""

    def open(self) -> Store:
        """The store it lives in."""
        return open_store(self.kind, self.endpoint, self.access_key_file, self.secret_key_file)


class Bucket(Resource):
    """Made on the server, taken over when it is there already, removed only when it is empty or that was asked for."""

    token = "isthmus:local:Bucket"
    replacing = frozenset({"kind", "name"})

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        checked = check_inputs(BucketInputs, news)
        if not checked.failures and known(checked.inputs, "kind", "") == "s3":
            for name in ("access_key_file", "secret_key_file"):
                if checked.inputs[name] == "":
                    checked.failures.append(Failure(name, "is required for an S3 bucket"))
        return checked

    def diff(self, call: Call, old: State, news: Properties) -> Difference:
        changes = compare(old.inputs, news, self.replacing)
        if old.outputs.get("versioning") != old.inputs.get("versioning"):
            changes.append(Change(("versioning",), "update", drift=True))
        return Difference(list({change.path: change for change in changes}.values()))

    def plan(self, call: Call, old: State | None, news: Properties) -> Properties:
        return {name: news.get(name, UNKNOWN) for name in ("name", "endpoint", "versioning")}

    def create(self, call: Call, inputs: Properties) -> State:
        return State(f"{inputs['kind']}://{inputs['name']}", inputs, self._ensure(inputs))

    def read(self, call: Call, old: State) -> State | None:
        if not old.inputs:
            return None
        wanted = parse(BucketInputs, old.inputs)
        try:
            versioning = wanted.open().versioning(wanted.name)
        except Unreachable:
            # The server is down, which its own resource tells; what it holds is in its data.
            return old
        return None if versioning is None else State(old.id, old.inputs, {**old.outputs, "versioning": versioning})

    def update(self, call: Call, old: State, news: Properties) -> Properties:
        return self._ensure(news)

    def delete(self, call: Call, old: State) -> None:
        wanted = parse(BucketInputs, old.inputs)
        try:
            store = wanted.open()
            if store.versioning(wanted.name) is None:
                return
            if wanted.force or store.is_empty(wanted.name):
                store.remove(wanted.name)
            else:
                call.log("warning", f"bucket {wanted.name!r} holds objects and stays; force=True would remove it")
        except Unreachable as error:
            call.log("info", f"bucket {wanted.name!r} stays in its server's data: {error}")

    def _ensure(self, inputs: Properties) -> Properties:
        wanted = parse(BucketInputs, inputs)
        wanted.open().ensure(wanted.name, wanted.versioning)
        return {"name": wanted.name, "endpoint": wanted.endpoint, "versioning": wanted.versioning}
