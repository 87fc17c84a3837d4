"""What a person does on the first day, in the order of doing it: up, on every cloud's adapters, by hand, repaired, down."""

from __future__ import annotations

import json
import socket
import subprocess

import httpx
import psutil
import pytest

from tests.e2e.platform.conftest import ROOT, Home

CLOUDS = ("local", "onprem", "aws", "gcp")

pytestmark = pytest.mark.timeout(1500)  # a whole platform comes up several times


@pytest.fixture(scope="module")
def reports(shared: Home) -> dict[str, dict]:
    """`CLOUD_PROVIDER=c isthmus up --json` for each cloud, one after the other on one machine, and what it then predicts."""
    found = {}
    for cloud in CLOUDS:
        found[cloud] = shared.json("up", cloud=cloud)
        found[cloud]["outcomes"] = {
            model["model"]: outcomes(found[cloud], model["model"]) for model in found[cloud]["models"]
        }
    return found


def outcomes(report: dict, model: str) -> list[dict]:
    """Label and score, every digit of it, for each held-out sample that the server shows."""
    with httpx.Client(base_url=report["predict"], timeout=30) as client:
        inputs = client.get(f"/v1/models/{model}/samples").json()["inputs"]
        answer = client.post("/v1/predict", json={"model": model, "inputs": inputs})
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]


def predict(report: dict) -> dict:
    """Run the very curl that the person is told to paste."""
    done = subprocess.run(["bash", "-c", report["requests"]["curl"]], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_up_ends_with_a_prediction_on_every_clouds_adapters(reports: dict[str, dict]) -> None:
    for cloud in CLOUDS:
        report = reports[cloud]
        assert (report["cloud"], report["emulated"]) == (cloud, cloud != "local")
        assert report["requests"]["count"] == 100
        assert report["requests"]["errors"] == 0
        assert 0 < report["requests"]["p50_ms"] <= report["requests"]["p99_ms"]
    assert reports["gcp"]["storage"].startswith("gs://")


def test_every_cloud_serves_the_same_bytes_with_equal_predictions(reports: dict[str, dict]) -> None:
    digests = [{m["model"]: m["digest"] for m in reports[cloud]["models"]} for cloud in CLOUDS]
    assert len(digests[0]) == 2
    assert digests == [digests[0]] * len(CLOUDS)
    predicted = [reports[cloud]["outcomes"] for cloud in CLOUDS]
    assert all(len(rows) >= 5 for rows in predicted[0].values())
    assert predicted == [predicted[0]] * len(CLOUDS)


def test_the_curl_that_is_printed_answers(shared: Home, reports: dict[str, dict]) -> None:
    answer = predict(reports["gcp"])
    assert answer["model"] == "digits"
    assert answer["predictions"][0]["label"] in [str(digit) for digit in range(10)]


def test_a_second_up_changes_nothing_and_trains_nothing(shared: Home, reports: dict[str, dict]) -> None:
    before = shared.process("serve")["pid"]
    again = shared.json("up", cloud="gcp")
    assert [model["version"] for model in again["models"]] == [model["version"] for model in reports["gcp"]["models"]]
    assert all(model["reused"] for model in again["models"])
    assert shared.process("serve")["pid"] == before


def test_typed_by_hand_preview_has_no_changes_and_refresh_no_drift(shared: Home, reports: dict[str, dict]) -> None:
    assert "unchanged" in (preview := shared.pulumi("preview", "-s", "local", "--expect-no-changes", cloud="gcp"))
    assert "to update" not in preview
    refreshed = shared.pulumi("refresh", "-s", "local", "--yes", "--skip-preview", cloud="gcp")
    assert "unchanged" in refreshed
    assert "updated" not in refreshed
    up = shared.pulumi("up", "-s", "local", "--yes", "--skip-preview", cloud="gcp")
    assert "unchanged" in up
    assert "created" not in up


def test_a_model_trained_under_one_provider_is_copied_to_another_and_keeps_its_digest(
    shared: Home, reports: dict[str, dict]
) -> None:
    """From GCS to S3, while both run: the proof that a move needs no retraining."""
    target = shared.folder / "outputs" / "local" / "onprem.json"
    copied = json.loads(shared.run("models", "copy", "digits", "--to", str(target), "--json", cloud="gcp").stdout)
    digest = {model["model"]: model["digest"] for model in reports["gcp"]["models"]}["digits"]
    assert copied["digest"] == digest


def test_what_died_is_seen_and_brought_back_with_its_data(shared: Home, reports: dict[str, dict]) -> None:
    store = shared.process("object-store-gcs")
    psutil.Process(store["pid"]).kill()
    assert not shared.process("object-store-gcs")["alive"]
    report = shared.json("up", cloud="gcp")
    assert shared.process("object-store-gcs")["pid"] != store["pid"]
    assert all(model["reused"] for model in report["models"])
    assert report["requests"]["errors"] == 0


def test_nothing_listens_beyond_this_machine(shared: Home, reports: dict[str, dict]) -> None:
    ours = shared.processes()
    addresses = {
        connection.laddr.ip
        for process in ours
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    }
    assert ours
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_no_secret_is_in_state_settings_or_logs(shared: Home, reports: dict[str, dict]) -> None:
    run = shared.folder / "run"
    secrets = {path.read_text().strip() for path in run.rglob("secrets/*")}
    assert len(secrets) >= 3
    places = [*(shared.folder / "state").rglob("*"), *(shared.folder / "outputs").rglob("*"), *run.rglob("log")]
    text = "".join(path.read_text(errors="replace") for path in places if path.is_file())
    assert "object-store" in text
    assert not [secret for secret in secrets if secret in text]


def test_plan_says_what_another_provider_would_change(shared: Home, reports: dict[str, dict]) -> None:
    changes = shared.json("plan")["changes"]
    assert ("delete", "object-store-gcs") in [(one["operation"], one["name"]) for one in changes]
    assert shared.json("plan", cloud="gcp")["changes"] == []


def test_down_leaves_no_process_and_no_port(shared: Home, reports: dict[str, dict]) -> None:
    ports = [port for one in shared.json("status")["processes"] for port in one["ports"].values()]
    assert ports
    shared.run("down")
    assert shared.processes() == []
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(reports["gcp"]["predict"] + "/v2/health/live")
    assert shared.json("status", code=1)["processes"] == []


def test_the_model_is_still_there_after_down_and_up(shared: Home, reports: dict[str, dict]) -> None:
    report = shared.json("up")
    assert all(model["reused"] for model in report["models"])
    assert {name: outcomes(report, name) for name in ("digits", "tumor")} == reports["local"]["outcomes"]


def test_down_with_data_leaves_an_empty_home(shared: Home, reports: dict[str, dict]) -> None:
    shared.run("down", "--data")
    assert shared.processes() == []
    left = [
        path
        for name in ("run", "database", "outputs", "tasks")
        for path in (shared.folder / name).rglob("*")
        if path.is_file()
    ]
    assert [path for path in left if ".locks" not in path.parts] == []


def test_no_file_of_the_checkout_was_touched(shared: Home, reports: dict[str, dict]) -> None:
    stack = ROOT / "stacks" / "Pulumi.local.yaml"
    committed = subprocess.run(
        ["git", "show", "HEAD:stacks/Pulumi.local.yaml"], cwd=ROOT, capture_output=True, check=True
    )
    assert stack.read_bytes() == committed.stdout
