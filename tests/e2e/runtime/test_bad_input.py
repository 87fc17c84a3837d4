"""Some fifty malformed requests to a real server: each gets a 4xx problem that says what to mend, and it lives on."""

from __future__ import annotations

import gzip
import json
import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.runtime.processes import Server

INFER, PREDICT = "/v2/models/digits/infer", "/v1/predict"
ROW = [0.0] * 64


@dataclass
class Bad:
    """A request and what must come back."""

    why: str
    status: int
    slug: str
    body: Any = b""
    path: str = INFER
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": ROW} | changes


def infer(*inputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **fields}


def raw(text: str) -> bytes:
    return text.encode()


HEADER = json.dumps(
    infer({"name": "pixels", "shape": [1, 64], "datatype": "FP32", "parameters": {"binary_data_size": 256}})
).encode()
LENGTH = {"Inference-Header-Content-Length": str(len(HEADER))}
GZIP = {"content-encoding": "gzip"}

BAD = [
    Bad("empty body", 400, "malformed-json"),
    Bad("not JSON", 400, "malformed-json", b"pixels=1"),
    Bad("cut JSON", 400, "malformed-json", raw('{"inputs": [')),
    Bad("a JSON list", 400, "malformed-json", b"[]"),
    Bad("a JSON null", 400, "malformed-json", b"null"),
    Bad("bytes that are no UTF-8", 400, "malformed-json", b'{"inputs": "\xff\xfe"}'),
    Bad("a byte order mark", 400, "malformed-json", b"\xef\xbb\xbf{}"),
    Bad("10,000 lists deep", 400, "malformed-json", b'{"inputs": [{"name": "pixels", "data": ' + b"[" * 10_000 + b"]" * 10_000),
    Bad("10,000 objects deep", 400, "unknown-field", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    Bad("no inputs", 400, "malformed-json", {}),
    Bad("no input", 400, "wrong-tensor", infer()),
    Bad("unknown field", 400, "unknown-field", infer(tensor(), pretty=True)),
    Bad("unknown field of a tensor", 400, "unknown-field", infer(tensor(dtype="FP32"))),
    Bad("id of another type", 400, "malformed-json", infer(tensor(), id=7)),
    Bad("wrong tensor name", 400, "wrong-tensor", infer(tensor(name="image"))),
    Bad("the same tensor twice", 400, "wrong-tensor", infer(tensor(), tensor())),
    Bad("wrong datatype", 400, "wrong-tensor", infer(tensor(datatype="FP64"))),
    Bad("no datatype of the protocol", 400, "wrong-tensor", infer(tensor(datatype="float"))),
    Bad("wrong shape", 400, "wrong-tensor", infer(tensor(shape=[1, 63], data=ROW[:63]))),
    Bad("wrong rank", 400, "wrong-tensor", infer(tensor(shape=[64]))),
    Bad("no rows", 400, "wrong-tensor", infer(tensor(shape=[0, 64], data=[]))),
    Bad("negative dimension", 400, "wrong-tensor", infer(tensor(shape=[-1, 64]))),
    Bad("a dimension of 4,299 digits", 400, "malformed-json", raw('{"inputs": [{"shape": [' + "9" * 4299 + ", 64]}]}")),
    Bad("a model's name of a megabyte", 400, "wrong-value", {"model": "x" * 900_000, "inputs": [ROW]}, path=PREDICT),
    Bad("a field's name of a megabyte", 400, "unknown-field", {"x" * 900_000: 1, "inputs": []}),
    Bad("huge shape", 400, "wrong-tensor", infer(tensor(shape=[2**62, 64]))),
    Bad("too few elements", 400, "wrong-tensor", infer(tensor(data=ROW[:5]))),
    Bad("too many elements", 400, "wrong-tensor", infer(tensor(data=ROW * 2))),
    Bad("text for numbers", 400, "wrong-tensor", infer(tensor(data=["a"] * 64))),
    Bad("nulls for numbers", 400, "wrong-tensor", infer(tensor(data=[None] * 64))),
    Bad("NaN", 400, "malformed-json", raw(json.dumps(infer(tensor(data=[float("nan")] * 64))))),
    Bad("Infinity", 400, "malformed-json", raw(json.dumps(infer(tensor(data=[float("inf")] * 64))))),
    Bad("beyond FP32", 400, "wrong-value", infer(tensor(data=[1e39] * 64))),
    Bad("beyond the model's bounds", 400, "wrong-value", infer(tensor(data=[255.0] * 64))),
    Bad("unknown output", 400, "wrong-tensor", infer(tensor(), outputs=[{"name": "logits"}])),
    Bad("binary size too large", 400, "wrong-binary", HEADER + b"\0" * 255, headers=LENGTH),
    Bad("bytes left over", 400, "wrong-binary", HEADER + b"\0" * 257, headers=LENGTH),
    Bad("NaN in binary", 400, "wrong-value", HEADER + b"\xff" * 256, headers=LENGTH),
    Bad("header length past the body", 400, "wrong-binary", HEADER, headers={"Inference-Header-Content-Length": "99999"}),
    Bad("header length no number", 400, "wrong-binary", HEADER, headers={"Inference-Header-Content-Length": "-1"}),
    Bad("binary without header length", 400, "malformed-json", HEADER + b"\0" * 256),
    Bad("raw bytes of half a row", 400, "wrong-binary", b"\0" * 128, headers={"Inference-Header-Content-Length": "0"}),
    Bad("not gzip", 400, "wrong-encoding", b"{}", headers=GZIP),
    Bad("cut gzip", 400, "wrong-encoding", gzip.compress(b"{}" * 100)[:-5], headers=GZIP),
    Bad("gzip bomb", 413, "body-too-large", gzip.compress(b" " * 50_000_000), headers=GZIP),
    Bad("unknown encoding", 415, "wrong-content-type", b"{}", headers={"content-encoding": "br"}),
    Bad("a body past 1 MB", 413, "body-too-large", b" " * 1_000_001),
    Bad("a form", 415, "wrong-content-type", b"a=1", headers={"content-type": "application/x-www-form-urlencoded"}),
    Bad("unknown model", 404, "unknown-model", infer(tensor()), path="/v2/models/digitz/infer"),
    Bad("unknown version", 404, "unknown-version", infer(tensor()), path="/v2/models/digits/versions/99/infer"),
    Bad("a version that is no number", 404, "unknown-version", infer(tensor()), path="/v2/models/digits/versions/%00/infer"),
    Bad("a path that climbs", 404, "unknown-route", path="/v2/models/..%2f..%2fetc%2fpasswd", method="GET"),
    Bad("an unknown page", 404, "unknown-route", path="/admin", method="GET"),
    Bad("wrong method", 405, "wrong-method", path=INFER, method="GET"),
    Bad("made-up method", 405, "wrong-method", path="/v2", method="BREW"),
    Bad("predict without a model", 400, "malformed-json", {"inputs": [ROW]}, path=PREDICT),
    Bad("predict with an unknown model", 404, "unknown-model", {"model": "cats", "inputs": [ROW]}, path=PREDICT),
    Bad("predict with no name of a model", 400, "wrong-value", {"model": "../cats", "inputs": [ROW]}, path=PREDICT),
    Bad("predict with short rows", 400, "wrong-tensor", {"model": "digits", "inputs": [ROW[:9]]}, path=PREDICT),
    Bad("predict with ragged rows", 400, "wrong-tensor", {"model": "digits", "inputs": [ROW, ROW[:9]]}, path=PREDICT),
    Bad("predict with a bare row", 400, "wrong-tensor", {"model": "digits", "inputs": ROW}, path=PREDICT),
    Bad("predict with an unknown field", 400, "unknown-field", {"model": "digits", "inputs": [ROW], "input": 1}, path=PREDICT),
    Bad("a tumor so large that no number comes out", 422, "no-result", {"model": "tumor", "inputs": [[3e38] * 30]}, path=PREDICT),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=[bad.why for bad in BAD])
def test_a_malformed_request_gets_a_problem_that_says_what_to_mend(server: Server, bad: Bad) -> None:
    body = bad.body if isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
    headers = ({"content-type": "application/json"} if bad.method == "POST" else {}) | bad.headers
    status, answered, answer = server.ask(bad.method, bad.path, body if bad.method == "POST" else None, headers)
    assert (status, answered["content-type"]) == (bad.status, "application/problem+json"), answer[:500]
    problem = json.loads(answer)
    assert problem["type"] == f"/problems/{bad.slug}", problem
    assert problem["status"] == bad.status
    assert 10 < len(problem["detail"]) <= 500
    for leak in ("Traceback", "site-packages", ".py", "msgspec", "numpy", "object at 0x"):
        assert leak not in answer.decode()


def test_a_chunked_body_past_1_mb_is_refused_while_it_arrives(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        for _ in range(16):
            connection.sendall(chunk)  # one byte more than a million is passed with the sixteenth; the end never comes
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("why", "head"),
    [
        ("no HTTP", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 a TLS hello\r\n\r\n"),
        ("a huge header", b"GET /v2 HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 600_000 + b"\r\n\r\n"),
        ("two lengths", b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("a negative length", b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"),
        ("a broken chunk", b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        ("a declared terabyte", b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1099511627776\r\n\r\n{"),
    ],
)
def test_what_is_hardly_http_is_refused_by_4xx(server: Server, why: str, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4"), why


def test_after_all_of_them_the_server_is_well_and_has_logged_no_defect(server: Server) -> None:
    assert server.post(PREDICT, {"model": "digits", "inputs": [ROW]})["predictions"][0]["label"]
    metrics = server.ask("GET", "/metrics", management=True)[2].decode()
    assert 'status="500"' not in metrics
    assert "defect" not in server.said
    assert "Traceback" not in server.said
