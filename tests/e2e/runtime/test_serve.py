"""A real server process on a real S3 server: what clients see, from the first answer to the last."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deadline import until
from tests.e2e.runtime.processes import ROOT, Platform, Server


def samples(server: Server, model: str) -> tuple[np.ndarray, list[str]]:
    """Held-out rows and their true labels."""
    document = server.get(f"/v1/models/{model}/samples")
    (rows,) = document["inputs"].values()
    return np.array(rows, dtype=np.float32), [document["labels"][target] for target in document["targets"]]


@pytest.mark.parametrize(("model", "least"), [("digits", 0.95), ("tumor", 0.93)])
def test_real_held_out_samples_are_predicted_right(server: Server, model: str, least: float) -> None:
    rows, labels = samples(server, model)
    answer = server.post("/v1/predict", {"model": model, "inputs": rows.tolist(), "id": "all"})
    assert (answer["model"], answer["id"], len(answer["predictions"])) == (model, "all", 100)
    right = [each["label"] == label for each, label in zip(answer["predictions"], labels, strict=True)]
    assert np.mean(right) >= least
    assert all(0 <= each["score"] <= 1 for each in answer["predictions"])


def test_json_and_binary_inference_agree_to_the_bit(server: Server) -> None:
    rows, _ = samples(server, "digits")
    rows = rows[:7]
    tensor = {"name": "pixels", "shape": [7, 64], "datatype": "FP32"}
    plain = server.post("/v2/models/digits/infer", {"inputs": [tensor | {"data": rows.ravel().tolist()}]})
    nested = server.post("/v2/models/digits/infer", {"inputs": [tensor | {"data": rows.tolist()}]})
    assert plain == nested

    header = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": rows.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    status, headers, body = server.ask(
        "POST",
        "/v2/models/digits/infer",
        header + rows.tobytes(),
        {"Inference-Header-Content-Length": str(len(header))},
    )
    length = int(headers["inference-header-content-length"])
    listed = {each["name"]: each for each in json.loads(body[:length])["outputs"]}
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    probabilities = np.frombuffer(body, "<f4", count=70, offset=length)
    classes = np.frombuffer(
        body, "<i8", count=7, offset=length + listed["probabilities"]["parameters"]["binary_data_size"]
    )
    by_name = {each["name"]: each["data"] for each in plain["outputs"]}
    assert probabilities.tolist() == by_name["probabilities"]
    assert classes.tolist() == by_name["class"]


def test_the_protocols_documents_say_what_is_served(server: Server) -> None:
    assert "binary_tensor_data" in server.get("/v2")["extensions"]
    assert server.get("/v2/health/live") == {"live": True}
    assert server.get("/v2/health/ready") == {"ready": True}
    metadata = server.get("/v2/models/digits")
    assert (metadata["versions"], metadata["inputs"]) == (
        ["1"],
        [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
    )
    assert server.get("/v2/models/digits/versions/1") == metadata
    assert server.get("/v2/models/digits/versions/1/ready") == {"name": "digits", "ready": True}


def test_a_version_in_the_path_answers_like_the_default_and_the_id_is_echoed(server: Server) -> None:
    rows, _ = samples(server, "tumor")
    request = {
        "id": "42",
        "inputs": [{"name": "measurements", "shape": [1, 30], "datatype": "FP32", "data": rows[0].tolist()}],
    }
    default = server.post("/v2/models/tumor/infer", request)
    assert default == server.post("/v2/models/tumor/versions/1/infer", request)
    assert (default["id"], default["model_version"]) == ("42", "1")


def test_only_the_asked_outputs_come_and_classification_names_labels(server: Server) -> None:
    rows, labels = samples(server, "tumor")
    request = {
        "inputs": [{"name": "measurements", "shape": [1, 30], "datatype": "FP32", "data": rows[0].tolist()}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 1}}],
    }
    (output,) = server.post("/v2/models/tumor/infer", request)["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 1])
    assert output["data"][0].split(":")[2] == labels[0]


def test_the_command_on_the_serving_page_gives_the_answer_that_stands_there(server: Server) -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    body = re.search(r"-d '(\{.*?\})'", page)
    assert body is not None
    answer = server.post("/v1/predict", body.group(1).encode())
    assert (answer["model"], answer["predictions"][0]["label"]) == ("digits", "0")
    assert answer["predictions"][0]["score"] > 0.99


def test_the_page_and_its_command_work_as_pasted(server: Server) -> None:
    card = next(card for card in server.get("/v1/models")["models"] if card["model"] == "digits")
    body = re.search(r"-d '(.*)'$", card["curl"])
    assert body is not None
    assert server.post("/v1/predict", body.group(1).encode())["predictions"][0]["label"]
    page = server.ask("GET", "/", headers={"host": f"127.0.0.1:{server.port}"})[2].decode()
    assert f"curl -s http://127.0.0.1:{server.port}/v1/predict" in page


# --------------------------------------------------------------------------------------------------------- management


def test_management_has_a_port_of_its_own_and_the_public_port_knows_nothing_of_it(server: Server) -> None:
    health = server.get("/health", management=True)
    assert health["ready"]
    assert [model["reference"] for model in health["models"]] == ["digits@champion", "tumor@champion"]
    assert {server.ask("GET", path)[0] for path in ("/health", "/metrics", "/reload")} == {404}
    assert server.ask("GET", "/v2", management=True)[0] == 404
    assert server.post("/reload", b"", management=True) == {"changes": []}


def test_metrics_count_what_was_answered(server: Server) -> None:
    def count() -> int:
        text = server.ask("GET", "/metrics", management=True)[2].decode()
        found = re.search(r'isthmus_requests_total\{route="/v2/health/live",method="GET",status="200"\} (\d+)', text)
        return int(found.group(1)) if found else 0

    before = count()
    for _ in range(5):
        server.get("/v2/health/live")
    assert count() == before + 5


# -------------------------------------------------------------------------------------------------------- life and end


def test_a_server_that_starts_before_its_model_waits_for_it_and_then_serves(
    platform: Platform, empty_platform: Platform
) -> None:
    with empty_platform.serving("--models", "tumor", ready=False) as server:
        server.until_live()
        status, headers, _ = server.ask("GET", "/v2/health/ready")
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert server.ask("POST", "/v1/predict", b'{"model": "tumor", "inputs": [[1]]}')[0] == 503
        until(lambda: "waiting for" in server.said, seconds=60, what="the first look at the registry")
        platform.run(
            "runtime.registry.main", "copy", "tumor:1", "--to", str(empty_platform.settings), "--alias", "champion"
        )
        server.until_ready()
        assert server.said.count("waiting for tumor@champion, which is not registered yet") == 1


def test_a_moved_alias_is_served_within_seconds_and_no_request_fails_meanwhile(platform: Platform) -> None:
    with platform.connected() as opened, platform.serving("--models", "tumor@moving", ready=False) as server:
        first = opened.registry.get("tumor", "champion")
        opened.registry.set_alias("tumor", "moving", first.version)
        server.until_ready()
        rows, _ = samples(server, "tumor")
        body = json.dumps({"model": "tumor", "inputs": rows[:1].tolist()}).encode()
        answers: list[tuple[int, Any]] = []
        done = threading.Event()

        def keep_asking() -> None:
            while not done.is_set():
                status, _, answer = server.ask("POST", "/v1/predict", body, {"content-type": "application/json"})
                answers.append((status, json.loads(answer).get("version")))

        callers = [threading.Thread(target=keep_asking) for _ in range(3)]
        for caller in callers:
            caller.start()
        files = {artifact.name: opened.registry.read(first, artifact.name) for artifact in first.artifacts}
        second = opened.registry.register("tumor", files, metrics=first.metrics)
        until(lambda: len(answers) > 20, seconds=20, what="answers of the first version")
        opened.registry.set_alias("tumor", "moving", second.version)
        try:
            until(lambda: answers[-1] == (200, second.version), seconds=10, what="an answer of the second version")
        finally:
            done.set()
            for caller in callers:
                caller.join(20)
            opened.registry.set_alias("tumor", "moving", None)
        assert {status for status, _ in answers} == {200}
        assert {version for _, version in answers} == {first.version, second.version}


def test_a_corrupt_artifact_is_refused_by_name_and_digest_and_never_served(
    platform: Platform, empty_platform: Platform
) -> None:
    platform.run(
        "runtime.registry.main", "copy", "tumor:1", "--to", str(empty_platform.settings), "--alias", "champion"
    )
    with empty_platform.connected() as opened:
        version = opened.registry.get("tumor", "champion")
        (weights,) = [artifact for artifact in version.artifacts if artifact.name == "weights.safetensors"]
        damaged = 0
        for page in (opened.storage.list(),):
            for info in page.objects:
                body = opened.storage.get(info.key).body
                if len(body) == weights.size_bytes:
                    opened.storage.put(info.key, body[:-1] + bytes([body[-1] ^ 1]))
                    damaged += 1
        assert damaged == 1
    done = empty_platform.refused("--models", "tumor", code=1)
    assert "weights.safetensors" in done.stderr
    assert weights.sha256 in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert "ready" not in done.stdout


def test_sigterm_lets_a_request_in_flight_finish_and_exits_0_within_five_seconds(platform: Platform) -> None:
    with platform.serving("--models", "tumor") as server:
        rows, _ = samples(server, "tumor")
        body = json.dumps({"model": "tumor", "inputs": rows[:1].tolist()}).encode()
        head = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        head += b"content-length: %d\r\n\r\n" % len(body)
        with (
            socket.create_connection(("127.0.0.1", server.port)) as late,
            socket.create_connection(("127.0.0.1", server.port)) as idle,
        ):
            late.settimeout(10)
            idle.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n")
            assert idle.recv(1000)
            late.sendall(head + body[:10])
            until(
                lambda: server.get("/health", management=True)["in_flight"] == 1,
                seconds=5,
                what="the request to be in flight",
            )
            server.process.send_signal(signal.SIGTERM)
            until(lambda: _refuses(server.port), seconds=5, what="the listener to close")
            late.sendall(body[10:])
            answer = late.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert server.process.wait(5) == 0
        assert "Traceback" not in server.said


def test_sigterm_does_not_wait_for_a_body_that_never_comes(platform: Platform) -> None:
    with platform.serving("--models", "tumor") as server, socket.create_connection(("127.0.0.1", server.port)) as stuck:
        stuck.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        until(
            lambda: server.get("/health", management=True)["in_flight"] == 1,
            seconds=5,
            what="the request to be in flight",
        )
        assert server.terminate() < 5
        assert server.process.returncode == 0


@pytest.mark.parametrize("moment", ["while torch is being imported", "while the storage does not answer"])
def test_sigterm_ends_a_server_that_is_still_loading(platform: Platform, tmp_path: Path, moment: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        document = json.loads(platform.settings.read_text())
        document["storage"]["endpoint"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(document))
        mute = Platform(settings, platform.environment | {"ISTHMUS_SETTINGS": str(settings)})
        with mute.serving("--models", "tumor", ready=False) as server, contextlib.ExitStack() as held:
            server.until_live()
            if "storage" in moment:
                silent.settimeout(60)
                held.enter_context(silent.accept()[0])  # it is asking now, and gets no answer
            assert server.terminate() < 5
            assert server.process.returncode == 0
            assert "Traceback" not in server.said


def test_a_taken_port_is_one_sentence_and_not_shared(platform: Platform, server: Server) -> None:
    done = platform.run("runtime.serve.main", "--models", "tumor", "--port", str(server.port), code=1)
    assert (
        done.stderr
        == f"127.0.0.1:{server.port}: cannot listen there: Address already in use; choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "Digits!"], "'Digits!' names no model"),
        (["--models", ""], "'' names no model"),
        ([], "the following arguments are required: --models"),
        (["--models", "digits", "--port", "0"], "a port is 1 to 65535, not 0"),
        (["--models", "digits", "--port", "http"], "invalid int value: 'http'"),
        (["--models", "digits", "--threads", "0"], "--threads must be above 0 and at most 1024, not 0"),
        (["--models", "digits", "--code", "absent.py"], "absent.py: there is no such Python file"),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(platform: Platform, arguments: list[str], words: str) -> None:
    done = platform.run("runtime.serve.main", *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def _refuses(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    except ConnectionRefusedError:
        return True
