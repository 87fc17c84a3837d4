"""The Open Inference Protocol's messages, as its clients write and read them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from runtime.domain.problems import Kind, Problem
from runtime.domain.signature import Signature
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.serve import oip

A = TensorSpec(name="a", datatype=Datatype.FP32, shape=(ANY, 2))
B = TensorSpec(name="b", datatype=Datatype.INT64, shape=(ANY,))
SCORES = TensorSpec(name="scores", datatype=Datatype.FP32, shape=(ANY, 3))
WORDS = TensorSpec(name="words", datatype=Datatype.BYTES, shape=(ANY,))
TWO = Signature(inputs=(A, B), outputs=(SCORES, WORDS), labels=("x", "y", "z"), scores="scores")
ONE = Signature(inputs=(A,), outputs=(SCORES,))
OUTPUTS = {
    "scores": np.array([[0.5, 0.25, 0.25], [0.125, 0.0, 0.875]], dtype=np.float32),
    "words": np.array([b"ja", b"n\xc3\xa9e"], dtype=object),
}


def a(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]} | changes


def b(**changes: Any) -> dict[str, Any]:
    return {"name": "b", "shape": [2], "datatype": "INT64", "data": [7, 8]} | changes


def request(*inputs: dict[str, Any], **fields: Any) -> bytes:
    return msgspec.json.encode({"inputs": list(inputs), **fields})


def with_binary(header: bytes, *tails: bytes) -> tuple[bytes, str]:
    return b"".join((header, *tails)), str(len(header))


def test_a_request_in_json_is_understood() -> None:
    call = oip.read(request(a(), b(), id="7", parameters={"sequence_id": 3}), None, TWO)
    assert call.id == "7"
    assert call.inputs["a"].tolist() == [[1, 2], [3, 4]]
    assert call.inputs["b"].tolist() == [7, 8]
    assert call.rows == 2
    assert [(wanted.spec.name, wanted.binary) for wanted in call.wanted] == [("scores", False), ("words", False)]


def test_binary_inputs_follow_the_json_in_the_order_of_the_inputs_and_may_be_mixed_with_json() -> None:
    header = request(
        {"name": "b", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}},
        {"name": "a", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
    )
    tails = np.array([7, -8], dtype="<i8").tobytes(), np.array([1, 2, 3, 4], dtype="<f4").tobytes()
    call = oip.read(*with_binary(header, *tails), TWO)
    assert call.inputs["b"].tolist() == [7, -8]
    assert call.inputs["a"].tolist() == [[1, 2], [3, 4]]

    mixed = request(a(), {"name": "b", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}})
    assert oip.read(*with_binary(mixed, tails[0]), TWO).inputs["b"].tolist() == [7, -8]


def test_a_body_of_bytes_alone_is_one_tensor_whose_batch_follows_from_its_size() -> None:
    call = oip.read(np.arange(6, dtype="<f4").tobytes(), "0", ONE)
    assert call.inputs["a"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert all(wanted.binary for wanted in call.wanted)


@pytest.mark.parametrize(
    ("fields", "binary"),
    [
        ({}, [False, False]),
        ({"parameters": {"binary_data_output": True}}, [True, True]),
        ({"outputs": [{"name": "words"}, {"name": "scores", "parameters": {"binary_data": True}}]}, [False, True]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "words"}, {"name": "scores", "parameters": {"binary_data": False}}],
            },
            [True, False],
        ),
    ],
)
def test_each_output_comes_as_it_was_asked_for(fields: dict[str, Any], binary: list[bool]) -> None:
    assert [wanted.binary for wanted in oip.read(request(a(), b(), **fields), None, TWO).wanted] == binary


def test_an_answer_in_json_holds_flat_data_and_echoes_the_id() -> None:
    call = oip.read(request(a(), b(), id="x-1"), None, TWO)
    body, json_bytes = oip.write(call, OUTPUTS, model="m", version=3)
    assert json_bytes is None
    assert msgspec.json.decode(body) == {
        "model_name": "m",
        "model_version": "3",
        "id": "x-1",
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [0.5, 0.25, 0.25, 0.125, 0.0, 0.875]},
            {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["ja", "née"]},
        ],
    }


def test_an_answer_without_an_asked_id_has_none() -> None:
    body, _ = oip.write(oip.read(request(a(), b()), None, TWO), OUTPUTS, model="m", version=3)
    assert "id" not in msgspec.json.decode(body)


def test_binary_outputs_follow_the_json_and_say_their_size() -> None:
    call = oip.read(request(a(), b(), parameters={"binary_data_output": True}), None, TWO)
    body, json_bytes = oip.write(call, OUTPUTS, model="m", version=3)
    assert json_bytes is not None
    listed = msgspec.json.decode(body[:json_bytes])["outputs"]
    assert [tensor["parameters"]["binary_data_size"] for tensor in listed] == [24, 14]
    assert all("data" not in tensor for tensor in listed)
    assert body[json_bytes:] == OUTPUTS["scores"].tobytes() + b"\2\0\0\0ja\4\0\0\0n\xc3\xa9e"


def test_classification_gives_the_best_labels_as_score_index_label() -> None:
    wanted = [{"name": "scores", "parameters": {"classification": 2}}]
    call = oip.read(request(a(), b(), outputs=wanted), None, TWO)
    body, _ = oip.write(call, OUTPUTS, model="m", version=1, labels=TWO.labels)
    (tensor,) = msgspec.json.decode(body)["outputs"]
    assert tensor == {
        "name": "scores",
        "datatype": "BYTES",
        "shape": [2, 2],
        "data": ["0.500000:0:x", "0.250000:1:y", "0.875000:2:z", "0.125000:0:x"],
    }


def test_metadata_lists_tensors_and_versions_as_text() -> None:
    document = msgspec.to_builtins(oip.metadata("m", [3, 1], ONE))
    assert document == {
        "name": "m",
        "versions": ["3", "1"],
        "platform": "pytorch_safetensors",
        "inputs": [{"name": "a", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}],
    }


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", Kind.MALFORMED_JSON, "no JSON"),
        (b"null", Kind.MALFORMED_JSON, "Expected `object`, got `null`"),
        (b"[1]", Kind.MALFORMED_JSON, "got `array`"),
        (b'{"inputs": [', Kind.MALFORMED_JSON, "truncated"),
        (b'\xff\xfe{"inputs": []}', Kind.MALFORMED_JSON, "no JSON"),
        (b'{"inputs": [{"name": "\xff"}]}', Kind.MALFORMED_JSON, "no JSON"),
        (request(a(shape=[2**62, 2]), b()), Kind.WRONG_TENSOR, "asks for 9223372036854775808 elements"),
        (b'{"inputs": ' * 5000, Kind.MALFORMED_JSON, "Expected `array`"),
        (b'{"inputs": [{"name": "a", "data": ' + b"[" * 100_000, Kind.MALFORMED_JSON, "nested too deeply"),
        (b"{}", Kind.MALFORMED_JSON, "missing required field `inputs`"),
        (request(a(), b(), extra=1), Kind.UNKNOWN_FIELD, "unknown field `extra`"),
        (request(a(extra=1), b()), Kind.UNKNOWN_FIELD, r"unknown field `extra` - at `inputs\[0\]`"),
        (request(a(parameters={"x": [1]}), b()), Kind.MALFORMED_JSON, "parameters"),
        (request(b()), Kind.WRONG_TENSOR, "input 'a' is missing"),
        (request(), Kind.WRONG_TENSOR, "input 'a' is missing"),
        (request(a(), a(), b()), Kind.WRONG_TENSOR, "'a' is given twice"),
        (request(a(), b(), a(name="c")), Kind.WRONG_TENSOR, r"no input 'c': the model takes a FP32 \[-1, 2\]"),
        (request(a(datatype="FP64"), b()), Kind.WRONG_TENSOR, "datatype 'FP64', the model takes FP32"),
        (request(a(shape=[4]), b()), Kind.WRONG_TENSOR, r"shape \[4\], the model takes \[-1, 2\]"),
        (request(a(shape=[0, 2], data=[]), b()), Kind.WRONG_TENSOR, r"shape \[0, 2\]"),
        (request(a(shape=[-1, 2]), b()), Kind.WRONG_TENSOR, r"shape \[-1, 2\]"),
        (request(a(shape=[1.5, 2]), b()), Kind.MALFORMED_JSON, "shape"),
        (request(a(shape=[2**70, 2]), b()), Kind.MALFORMED_JSON, "shape"),
        (request(a(shape=[1, 2], data=[1, 2]), b()), Kind.WRONG_TENSOR, "one batch size"),
        (request({"name": "a", "shape": [2, 2], "datatype": "FP32"}, b()), Kind.WRONG_TENSOR, "neither data nor"),
        (request(a(parameters={"binary_data_size": 16}), b()), Kind.WRONG_BINARY, "both data and binary_data_size"),
        (request(a(), b(), outputs=[{"name": "q"}]), Kind.WRONG_TENSOR, "no output 'q': the model gives scores"),
        (request(a(), b(), outputs=[{"name": "words"}] * 2), Kind.WRONG_TENSOR, "asked for twice"),
        (request(a(), b(), outputs=[{"name": "words", "parameters": {"classification": 1}}]), Kind.WRONG_VALUE, "no scores"),
        (request(a(), b(), outputs=[{"name": "scores", "parameters": {"classification": -1}}]), Kind.WRONG_VALUE, "not -1"),
        (request(a(), b(), outputs=[{"name": "scores", "parameters": {"classification": True}}]), Kind.WRONG_VALUE, "not True"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_match_is_refused(body: bytes, kind: Kind, words: str) -> None:
    with pytest.raises(Problem, match=words) as raised:
        oip.read(body, None, TWO)
    assert raised.value.kind is kind
    assert len(raised.value.detail) < 400


SIZED: dict[str, Any] = {"name": "a", "shape": [1, 2], "datatype": "FP32"}


@pytest.mark.parametrize(
    ("header", "tail", "length", "words"),
    [
        (request(SIZED | {"parameters": {"binary_data_size": 8}}), b"\0" * 7, None, "7 bytes are left"),
        (
            request(SIZED | {"parameters": {"binary_data_size": 8}}),
            b"\0" * 9,
            None,
            "1 bytes after the JSON belong to no input",
        ),
        (
            request(SIZED | {"parameters": {"binary_data_size": 4}}),
            b"\0" * 4,
            None,
            "takes 8 bytes, binary_data_size says 4",
        ),
        (request(SIZED | {"parameters": {"binary_data_size": -8}}), b"", None, "binary_data_size is -8"),
        (request(SIZED | {"parameters": {"binary_data_size": "8"}}), b"\0" * 8, None, "binary_data_size is '8'"),
        (request(SIZED | {"parameters": {"binary_data_size": True}}), b"\0" * 8, None, "binary_data_size is True"),
        (request(SIZED | {"parameters": {"binary_data_size": 2**60}}), b"\0" * 8, None, "8 bytes are left"),
        (request(SIZED | {"data": [1, 2]}), b"", "x", "Inference-Header-Content-Length is 'x'"),
        (request(SIZED | {"data": [1, 2]}), b"", "-1", "Inference-Header-Content-Length is '-1'"),
        (request(SIZED | {"data": [1, 2]}), b"", "99999", "at most"),
        (request(SIZED | {"data": [1, 2]}), b"", "²", "Inference-Header-Content-Length"),
        (request(SIZED | {"data": [1, 2]}), b"", "9" * 5000, "Inference-Header-Content-Length is '9999"),
        (b"", b"\0" * 7, "0", "no whole number of rows of 8 bytes"),
        (b"", b"", "0", "no whole number of rows"),
    ],
)
def test_binary_parts_that_do_not_match_their_description_are_refused(header, tail, length, words: str) -> None:
    with pytest.raises(Problem, match=words) as raised:
        oip.read(header + tail, length or str(len(header)), ONE)
    assert raised.value.kind is Kind.WRONG_BINARY


def test_no_random_damage_to_a_good_request_is_ever_a_defect() -> None:
    seed = 4711
    print(f"seed {seed}")
    rng = random.Random(seed)
    header = request(SIZED | {"parameters": {"binary_data_size": 8}})
    good, length = with_binary(header, np.array([1, 2], dtype="<f4").tobytes())
    refused = 0
    for _ in range(2000):
        damaged = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            oip.read(bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]), length, ONE)
        except Problem:
            refused += 1
    assert refused > 1000
