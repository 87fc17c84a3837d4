"""The gRPC server over a real channel: what handlers raise and return is what the engine is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from infra.providers.base import (
    Call,
    Cancelled,
    Checked,
    Failure,
    Incomplete,
    Provider,
    ProviderError,
    Resource,
    State,
)
from infra.providers.server import Servicer
from infra.providers.values import UNKNOWN, Properties, Secret
from infra.providers.wire import SECRET, SIGNATURE, decode, encode

URN = "urn:pulumi:dev::shop::isthmus:test:Parent$isthmus:test:Thing::it"


class Thing(Resource):
    """Does what its inputs say."""

    token = "isthmus:test:Thing"
    replacing = frozenset({"size"})
    delete_before_replace = True
    computed = frozenset({"address"})
    refresh_before_update = True

    def __init__(self) -> None:
        self.created: list[Properties] = []
        self.waiting = threading.Event()

    def check(self, call: Call, olds: Properties, news: Properties) -> Checked:
        bad = news.get("size") == 0
        return Checked(news, [Failure("size", f"must not be 0 for {news.get('password')}")] if bad else [])

    def create(self, call: Call, inputs: Properties) -> State:
        self.created.append(inputs)
        act = inputs.get("act")
        if act == "fail":
            raise ProviderError(f"the disk is full of {inputs['password']}")
        if act == "bug":
            raise KeyError(inputs["password"])
        if act == "half":
            raise Incomplete("it limps", State("half", inputs, {"address": "h"}))
        if act == "wait":
            self.waiting.set()
            if not call.cancelled.wait(10):
                raise AssertionError("was never cancelled")
            raise Cancelled("stopped")
        return State(f"{call.stack}/{call.name}", inputs, {**inputs, "address": f"at {inputs.get('password')}"})

    def read(self, call: Call, old: State) -> State | None:
        return None if old.id == "gone" else old


class Things(Provider):
    """A package with one function."""

    def invoke(self, call: Call, function: str, arguments: Properties) -> Properties:
        if function != "isthmus:test:double":
            return super().invoke(call, function, arguments)
        return {"doubled": arguments["word"] * 2}


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def servicer(thing: Thing) -> Servicer:
    return Servicer(Things.of("isthmus", "1.2.3", [thing]))


@pytest.fixture
def stub(servicer: Servicer) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server = grpc.server(ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(0).wait(5)


def create(stub: Any, preview: bool = False, **inputs: Any) -> Any:
    request = provider_pb2.CreateRequest(urn=URN, properties=encode(inputs), preview=preview)
    return stub.Create(request, timeout=10)


def refused(call: Any) -> Any:
    with pytest.raises(grpc.RpcError) as told:
        call()
    return told.value


def test_a_created_resource_answers_with_its_id_and_outputs_and_keeps_the_secret(stub: Any) -> None:
    made = create(stub, password=Secret("hunter22"), size=1)
    assert made.id == "shop/dev/it" and made.refresh_before_update
    for name in ("password", "address"):
        assert made.properties.fields[name].struct_value.fields[SIGNATURE].string_value == SECRET


def test_a_preview_creates_nothing_and_says_what_it_cannot_know(stub: Any, thing: Thing) -> None:
    planned = create(stub, preview=True, size=1)
    assert thing.created == [] and planned.id == ""
    assert decode(planned.properties) == {"size": 1, "address": UNKNOWN}


def test_a_failure_is_one_sentence_without_the_secret_and_leaves_nothing_pending(stub: Any) -> None:
    told = refused(lambda: create(stub, act="fail", password=Secret("hunter22")))
    assert told.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert told.details() == "the disk is full of [secret]"


def test_a_defect_is_told_as_one_and_the_engine_knows_the_state_is_unknown(stub: Any) -> None:
    told = refused(lambda: create(stub, act="bug", password=Secret("hunter22")))
    assert told.code() == grpc.StatusCode.INTERNAL
    assert "defect in provider isthmus: KeyError" in told.details() and "hunter22" not in told.details()


def test_what_was_half_made_is_handed_to_the_engine_with_the_reason(stub: Any) -> None:
    told = refused(lambda: create(stub, act="half"))
    status = status_pb2.Status()
    status.ParseFromString(dict(told.trailing_metadata())["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert (detail.id, list(detail.reasons), decode(detail.properties)) == ("half", ["it limps"], {"address": "h"})


def test_cancel_reaches_a_create_under_way(stub: Any, thing: Thing, servicer: Servicer) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: refused(lambda: create(stub, act="wait")))
        assert thing.waiting.wait(10)
        stub.Cancel(empty_pb2.Empty(), timeout=10)
        assert waiting.result(10).code() == grpc.StatusCode.CANCELLED
    assert servicer.wind_down(5)


def test_check_names_the_property_and_hides_the_secret(stub: Any) -> None:
    news = encode({"size": 0, "password": Secret("hunter22")})
    checked = stub.Check(provider_pb2.CheckRequest(urn=URN, news=news), timeout=10)
    assert [(f.property, f.reason) for f in checked.failures] == [("size", "must not be 0 for [secret]")]
    assert checked.inputs == news


def test_a_difference_that_replaces_says_so_by_property(stub: Any) -> None:
    request = provider_pb2.DiffRequest(
        urn=URN, id="1", old_inputs=encode({"size": 1, "tags": {"a.b": "x"}}), olds=encode({}),
        news=encode({"size": 2, "tags": {"a.b": "y"}}),
    )  # fmt: skip
    told = stub.Diff(request, timeout=10)
    assert told.changes == provider_pb2.DiffResponse.DIFF_SOME and told.deleteBeforeReplace
    assert list(told.replaces) == ["size"] and set(told.diffs) == {"size", "tags"}
    assert told.detailedDiff["size"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert told.detailedDiff['tags["a.b"]'].kind == provider_pb2.PropertyDiff.UPDATE
    request.news.CopyFrom(request.old_inputs)
    assert stub.Diff(request, timeout=10).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_function_answers_and_keeps_what_is_secret(stub: Any) -> None:
    arguments = encode({"word": Secret("hunter22")})
    told = stub.Invoke(provider_pb2.InvokeRequest(tok="isthmus:test:double", args=arguments), timeout=10)
    doubled = getattr(told, "return").fields["doubled"].struct_value
    assert doubled.fields[SIGNATURE].string_value == SECRET and doubled.fields["value"].string_value == "hunter22" * 2
    request = provider_pb2.InvokeRequest(tok="isthmus:test:halve", args=arguments)
    assert "no function 'isthmus:test:halve'" in refused(lambda: stub.Invoke(request, timeout=10)).details()


def test_what_is_gone_is_read_as_nothing(stub: Any) -> None:
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="gone"), timeout=10).id == ""
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="here"), timeout=10).id == "here"


def test_an_unknown_type_is_told_with_those_there_are(stub: Any) -> None:
    request = provider_pb2.CreateRequest(urn=URN, type="isthmus:test:Other", properties=encode({}))
    told = refused(lambda: stub.Create(request, timeout=10))
    assert "no resource type 'isthmus:test:Other'; it has isthmus:test:Thing" in told.details()
