"""The application without a socket: routes, limits, problems, and nothing that leaks."""

from __future__ import annotations

import gzip
import threading
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest

from runtime.domain.problems import Kind, Problem
from runtime.domain.signature import Signature, classifier
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.serve.app import App
from runtime.serve.http import DISCARD_BYTES
from runtime.serve.meters import Meters
from runtime.serve.model import Workers
from runtime.serve.shelf import Shelf
from tests.runtime.in_process import Caller, serving, toy

ROW = TensorSpec(name="row", datatype=Datatype.FP32, shape=(ANY, 2))
SIGN = classifier(ROW, labels=("negative", "positive"))


def sign(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Certain that the sum's sign is the label."""
    positive = (inputs["row"].sum(axis=1) > 0).astype(np.int64)
    return {"probabilities": np.eye(2, dtype=np.float32)[positive], "class": positive}


def caller(**options: Any) -> Caller:
    return serving(
        toy(SIGN, sign, name="sign", version=3, public=True), toy(SIGN, sign, name="sign", version=2), **options
    )


def rows(*values: list[float], **fields: Any) -> dict[str, Any]:
    return {"model": "sign", "inputs": list(values), **fields}


def test_predict_gives_a_label_and_a_score_for_each_row_and_echoes_the_id() -> None:
    answer = caller().post("/v1/predict", rows([1, 2], [-1, 0], id="a"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "model": "sign",
        "version": 3,
        "predictions": [{"label": "positive", "score": 1.0}, {"label": "negative", "score": 1.0}],
        "id": "a",
    }


@pytest.mark.parametrize(("model", "version"), [("sign", 3), ("sign:3", 3), ("sign:2", 2)])
def test_predict_asks_the_default_version_or_the_one_that_is_named(model: str, version: int) -> None:
    assert caller().post("/v1/predict", {"model": model, "inputs": [[1, 2]]}).json()["version"] == version


def test_predict_takes_several_inputs_by_name_and_gives_the_outputs_of_a_model_without_labels() -> None:
    signature = Signature(
        inputs=(ROW, TensorSpec(name="weight", datatype=Datatype.INT64, shape=(ANY,))),
        outputs=(
            TensorSpec(name="sum", datatype=Datatype.FP32, shape=(ANY,)),
            TensorSpec(name="pair", datatype=Datatype.INT64, shape=(ANY, 2)),
            TensorSpec(name="word", datatype=Datatype.BYTES, shape=(ANY,)),
        ),
    )

    def infer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = inputs["row"].sum(axis=1) * inputs["weight"]
        pair = np.stack([inputs["weight"]] * 2, axis=1)
        return {"sum": total.astype(np.float32), "pair": pair, "word": np.array([b"w"] * len(total), dtype=object)}

    there = serving(toy(signature, infer))
    body = {"model": "toy", "inputs": {"row": [[1, 2], [3, 4]], "weight": [1, 10]}}
    assert there.post("/v1/predict", body).json()["predictions"] == [
        {"sum": 3.0, "pair": [1, 1], "word": "w"},
        {"sum": 70.0, "pair": [10, 10], "word": "w"},
    ]
    assert (
        "an object with rows for each of"
        in there.post("/v1/predict", {"model": "toy", "inputs": [[1]]}).problem()["detail"]
    )


@pytest.mark.parametrize(
    ("document", "status", "slug", "words"),
    [
        (b"", 400, "malformed-json", "no JSON"),
        (b"{", 400, "malformed-json", "no JSON"),
        (b"[]", 400, "malformed-json", "got `array`"),
        ({"inputs": [[1, 2]]}, 400, "malformed-json", "missing required field `model`"),
        ({"model": 7, "inputs": [[1, 2]]}, 400, "malformed-json", "at `model`"),
        (rows([1, 2], verson=3), 400, "unknown-field", "unknown field `verson`"),
        ({"model": "sign"}, 400, "wrong-tensor", "inputs is missing"),
        (rows(), 400, "wrong-tensor", "at least one"),
        (rows([1]), 400, "wrong-tensor", "takes rows of shape [2]"),
        (rows([1, 2, 3]), 400, "wrong-tensor", "takes rows of shape [2]"),
        (rows([1, 2], [3]), 400, "wrong-tensor", "differ in length"),
        ({"model": "sign", "inputs": [1, 2]}, 400, "wrong-tensor", "Expected `array`, got `int`"),
        ({"model": "sign", "inputs": [["a", 2]]}, 400, "wrong-tensor", "Expected `float`, got `str`"),
        ({"model": "sign", "inputs": "row"}, 400, "wrong-tensor", "Expected `array`, got `str`"),
        ({"model": "sign", "inputs": None}, 400, "wrong-tensor", "Expected `array`, got `null`"),
        ({"model": "sign", "inputs": {"raw": [[1, 2]]}}, 400, "wrong-tensor", "no input 'raw'"),
        (b'{"model":"sign","inputs":[[NaN,1]]}', 400, "malformed-json", "no JSON"),
        (b'{"model":"sign","inputs":[[1e39,1]]}', 400, "wrong-value", "beyond FP32"),
        (b'{"model":"sign","inputs":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "malformed-json", "deep"),
        ({"model": "sgin", "inputs": [[1, 2]]}, 404, "unknown-model", "there are sign"),
        ({"model": "sign:9", "inputs": [[1, 2]]}, 404, "unknown-version", "loaded: 3, 2"),
        ({"model": "sign@gold", "inputs": [[1, 2]]}, 404, "unknown-version", "'gold'"),
        ({"model": "../etc", "inputs": [[1, 2]]}, 400, "wrong-value", "NAME:VERSION"),
    ],
)
def test_a_wrong_prediction_request_gets_a_problem_that_says_what_to_mend(
    document, status: int, slug: str, words: str
) -> None:
    answer = caller().post("/v1/predict", document)
    problem = answer.problem()
    assert (answer.status, problem["type"]) == (status, f"/problems/{slug}")
    assert words in problem["detail"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_another_content_type_is_refused_with_the_right_one(content_type: str) -> None:
    answer = caller().post("/v1/predict", rows([1, 2]), {"content-type": content_type})
    assert answer.status == 415
    assert "send application/json" in answer.problem()["detail"]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", ""]
)
def test_json_by_any_spelling_is_welcome(content_type: str) -> None:
    assert caller().post("/v1/predict", rows([1, 2]), {"content-type": content_type}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/predict", "POST"), ("DELETE", "/v2", "GET"), ("PUT", "/v2/models/sign/infer", "POST")],
)
def test_a_wrong_method_names_the_right_one(method: str, path: str, allow: str) -> None:
    answer = caller().ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert allow in answer.problem()["detail"]


def test_head_gives_the_length_and_no_body() -> None:
    whole, head = caller().ask("GET", "/v2"), caller().ask("HEAD", "/v2")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.body))


@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/sign/versions/2/ready"]
)
def test_every_page_answers(path: str) -> None:
    assert caller().ask("GET", path).status == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/v2/", "/v1", "/v2/models", "/v2/models/sign/config", "//v2", "/v2/models/a/b/c/d"]
)
def test_an_unknown_page_is_404_and_points_to_the_document(path: str) -> None:
    answer = caller().ask("GET", path)
    assert answer.status == 404
    assert "/openapi.json" in answer.problem()["detail"]


def test_every_problem_type_has_a_page() -> None:
    for kind in Kind:
        assert kind.title in caller().ask("GET", f"/problems/{kind.slug}").body.decode()


def test_samples_are_shown_only_where_the_data_is_public() -> None:
    assert caller().ask("GET", "/v1/models/sign/samples?limit=1").json()["targets"] == [0]
    private = serving(toy(SIGN, sign)).ask("GET", "/v1/models/toy/samples")
    assert private.status == 404
    assert "not declared public" in private.problem()["detail"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e1", "²", "9" * 5000, "0001" + "0" * 5000])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    assert caller().ask("GET", f"/v1/models/sign/samples?limit={limit}").problem()["type"] == "/problems/wrong-value"


def test_the_page_shows_a_command_to_paste_and_trusts_no_host_header() -> None:
    page = caller().ask("GET", "/", headers={"host": "models.example:8080"}).body.decode()
    assert "curl -s http://models.example:8080/v1/predict" in page
    forged = caller().ask("GET", "/", headers={"host": "x';rm -rf ~;'<script>"}).body.decode()
    assert "curl -s http://localhost/v1/predict" in forged
    assert "script" not in forged
    assert "rm -rf" not in forged


# ------------------------------------------------------------------------------------------------------------ limits

GOOD = msgspec.json.encode(rows([1, 2]))
JSON = {"content-type": "application/json"}


def test_a_body_in_many_parts_is_put_together() -> None:
    parts = [GOOD[place : place + 3] for place in range(0, len(GOOD), 3)]
    assert caller().ask("POST", "/v1/predict", *parts, headers=JSON).status == 200


@pytest.mark.parametrize("declared", ["1000001", "9" * 19, "9" * 5000])
def test_a_declared_length_past_the_limit_is_refused_before_anything_is_read(declared: str) -> None:
    answer = caller().ask("POST", "/v1/predict", headers=JSON | {"content-length": declared})
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.problem()["limit_bytes"] == 1_000_000


@pytest.mark.parametrize("declared", ["0" * 5000 + "2", "²", "two"])
def test_a_declared_length_of_any_writing_breaks_nothing(declared: str) -> None:
    answer = caller().ask("POST", "/v1/predict", b"{}", headers=JSON | {"content-length": declared})
    assert answer.problem()["type"] == "/problems/malformed-json"


@pytest.mark.parametrize(("size", "status"), [(64, 200), (65, 413)])
def test_the_limit_holds_to_the_byte_without_a_declared_length(size: int, status: int) -> None:
    body = GOOD + b" " * (size - len(GOOD))
    there = caller(max_body_bytes=64)
    assert there.ask("POST", "/v1/predict", body, headers=JSON).status == status
    assert there.ask("POST", "/v1/predict", *[bytes([byte]) for byte in body], headers=JSON).status == status
    assert (
        there.ask("POST", "/v1/predict", gzip.compress(body), headers=JSON | {"content-encoding": "gzip"}).status
        == status
    )


def test_of_a_body_without_end_no_more_is_held_than_the_limit_nor_read_than_a_moment_allows() -> None:
    answer = caller().ask("POST", "/v1/predict", *[b" " * 100_000] * 500, headers=JSON)
    assert answer.status == 413
    assert answer.parts_read <= 11 + DISCARD_BYTES // 100_000


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("x-gzip", gzip.compress)]
)
def test_a_compressed_body_is_understood(encoding: str, pack: Any) -> None:
    answer = caller().ask("POST", "/v1/predict", pack(GOOD), headers=JSON | {"content-encoding": encoding})
    assert answer.status == 200


def test_a_gzip_bomb_is_refused_and_never_inflated_past_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    real = zlib.decompressobj

    class Watched:
        def __init__(self, wbits: int) -> None:
            self.inner = real(wbits=wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal largest
            out = self.inner.decompress(data, most)
            largest = max(largest, len(out))
            return out

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    monkeypatch.setattr("runtime.serve.http.zlib.decompressobj", Watched)
    bomb = gzip.compress(b"0" * 20_000_000)
    assert len(bomb) < 1_000_000
    answer = caller().ask("POST", "/v1/predict", bomb, headers=JSON | {"content-encoding": "gzip"})
    assert answer.status == 413
    assert largest == 1_000_001


@pytest.mark.parametrize(
    ("encoding", "body", "status", "words"),
    [
        ("gzip", b"plain", 400, "not gzip"),
        ("gzip", b"", 400, "ends too early"),
        ("gzip", gzip.compress(GOOD)[:-4], 400, "ends too early"),
        ("gzip", gzip.compress(GOOD) + b"more", 400, "4 bytes follow"),
        ("br", GOOD, 415, "use gzip, deflate or none"),
        ("gzip, gzip", GOOD, 415, "use gzip"),
    ],
)
def test_a_damaged_or_unknown_encoding_is_refused(encoding: str, body: bytes, status: int, words: str) -> None:
    answer = caller().ask("POST", "/v1/predict", body, headers=JSON | {"content-encoding": encoding})
    assert answer.status == status
    assert words in answer.problem()["detail"]


def test_a_body_that_breaks_off_is_refused() -> None:
    answer = caller().ask("POST", "/v1/predict", GOOD, headers=JSON, hang_up=True)
    assert answer.problem()["type"] == "/problems/broken-off"


def test_a_large_answer_is_compressed_for_those_who_ask() -> None:
    plain = caller().ask("GET", "/openapi.json")
    packed = caller().ask("GET", "/openapi.json", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body


# ----------------------------------------------------------------------------------------------------------- trouble


def test_a_defect_tells_the_caller_a_reference_and_the_log_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    def explode(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise RuntimeError("the password is hunter2")

    answer = serving(toy(SIGN, explode)).post("/v1/predict", {"model": "toy", "inputs": [[1, 2]]})
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    assert b"Traceback" not in answer.body
    log = capsys.readouterr().err
    assert answer.problem()["reference"] in log
    assert "hunter2" in log


def test_a_model_that_gives_no_number_is_a_problem_and_never_a_null() -> None:
    def nothing(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"probabilities": np.full((1, 2), np.nan, dtype=np.float32), "class": np.zeros(1, dtype=np.int64)}

    answer = serving(toy(SIGN, nothing)).post("/v1/predict", {"model": "toy", "inputs": [[1, 2]]})
    assert answer.status == 422
    assert "'probabilities' is no number" in answer.problem()["detail"]


def test_more_waiting_calls_than_allowed_are_sent_away_with_a_time_to_return() -> None:
    inside, free = threading.Event(), threading.Event()

    def slow(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        inside.set()
        assert free.wait(10)
        return sign(inputs)

    there = serving(toy(SIGN, slow), waiting=0)
    body = {"model": "toy", "inputs": [[1, 2]]}
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(there.post("/v1/predict", body).status))
    thread.start()
    assert inside.wait(10)
    refused = there.post("/v1/predict", body)
    free.set()
    thread.join(10)
    assert (refused.status, refused.headers["retry-after"], first) == (503, "1", [200])


def test_a_model_that_still_loads_is_not_ready_and_says_so() -> None:
    from runtime.domain.reference import Reference

    shelf = Shelf(None, [Reference("sign")])  # type: ignore[arg-type]
    app = App(shelf, Workers(), Meters())
    assert not app.is_ready
    with pytest.raises(Problem, match="still loading") as raised:
        shelf.find("sign")
    assert raised.value.kind is Kind.NOT_READY


# ------------------------------------------------------------------------------------------------------------ meters


def test_requests_are_counted_by_route_and_never_by_a_path_that_a_caller_made_up() -> None:
    there = caller()
    for _ in range(3):
        there.post("/v1/predict", rows([1, 2], [3, 4]))
    there.ask("GET", "/made/up/by/a/caller")
    there.ask("BREW", "/v2")
    text = there.meters.exposition(ready=True, in_flight=0, loaded=[("sign", 3)])
    assert 'isthmus_requests_total{route="/v1/predict",method="POST",status="200"} 3' in text
    assert 'isthmus_requests_total{route="none",method="GET",status="404"} 1' in text
    assert 'isthmus_requests_total{route="none",method="other",status="405"} 1' in text
    assert 'isthmus_request_seconds_bucket{route="/v1/predict",le="+Inf"} 3' in text
    assert 'isthmus_request_seconds_count{route="/v1/predict"} 3' in text
    assert 'isthmus_rows_total{model="sign",version="3"} 6' in text
    assert 'isthmus_model_loaded{model="sign",version="3"} 1' in text
    assert "made/up" not in text
