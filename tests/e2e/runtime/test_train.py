"""Training, the registry's commands and the clients, each as the process that people start."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from adapters import connect
from adapters.settings import Settings
from runtime.train import data, metrics
from tests.e2e.runtime.processes import ROOT, Platform, Server
from tests.servers import gcs_server

TRAIN, MODELS, PREDICT, PROBE = (
    "runtime.train.main",
    "runtime.registry.main",
    "runtime.serve.predict",
    "runtime.serve.probe",
)


def test_both_models_are_good_and_champion(platform: Platform) -> None:
    found = {row["model"]: row for row in platform.json(MODELS, "list")}
    assert {name: row["aliases"] for name, row in found.items() if name in ("digits", "tumor")} == {
        "digits": {"champion": 1},
        "tumor": {"champion": 1},
    }
    assert platform.json(MODELS, "show", "digits@champion")["metrics"]["accuracy"] >= 0.97
    assert platform.json(MODELS, "show", "tumor@champion")["metrics"]["auc"] >= 0.98


def test_training_again_reuses_what_is_there_and_forced_in_another_process_gives_the_same_digest(
    platform: Platform,
) -> None:
    before = platform.json(MODELS, "show", "tumor:1")
    again = platform.json(TRAIN, "tumor")
    assert (again["reused"], again["version"]) == (True, 1)
    assert again["summary"] == f"tumor:1 reused, auc {before['metrics']['auc']:.4f}, champion"
    with platform.connected() as opened:
        count = len(opened.registry.versions("tumor"))
    forced = platform.json(TRAIN, "tumor", "--force")
    assert (forced["reused"], forced["version"]) == (False, count + 1)
    assert forced["digest"] == before["digest"], "bit-identical weights from another process"


def test_a_worse_version_is_registered_but_not_champion_and_the_line_says_why(platform: Platform) -> None:
    done = platform.run(TRAIN, "digits", "--epochs", "1", "--set", "learning_rate=0.0001")
    *epochs, _, verdict = done.stdout.splitlines()
    assert re.search(r"^epoch 1/1 loss \d\.\d{4} \d+\.\d\d s$", "\n".join(epochs), re.M)
    assert re.search(
        r"digits version \d+ is not made champion: its accuracy 0\.\d{4} is below the 0\.\d{4} of version 1", verdict
    )
    assert platform.json(MODELS, "show", "digits@champion")["version"] == 1


def test_a_model_of_ones_own_is_trained_and_served_as_the_page_says(platform: Platform, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    code = re.search(r"```python\n(\"\"\"spirals\.py.*?)```", page, re.S)
    assert code is not None
    file = tmp_path / "spirals.py"
    file.write_text(code.group(1))
    made = platform.json(TRAIN, f"{file}:recipe")
    assert (made["model"], made["version"]) == ("spirals", 1)
    assert made["metrics"]["accuracy"] > 0.95

    refused = platform.refused("--models", "spirals", code=2)
    assert "spirals:Spirals: this architecture is not bundled" in refused.stderr
    assert "--code" in refused.stderr

    with platform.serving("--models", "spirals", "--code", str(file)) as server:
        on_arms = [[5 * np.cos(5), 5 * np.sin(5)], [-5 * np.cos(5), -5 * np.sin(5)]]
        labels = [
            each["label"] for each in server.post("/v1/predict", {"model": "spirals", "inputs": on_arms})["predictions"]
        ]
        assert labels == ["first", "second"]
        assert server.ask("GET", "/v1/models/spirals/samples")[0] == 404, "its data was not declared public"

        changed = code.group(1).replace("softmax(dim=-1)", "softmax(dim=-1).flip(-1)")
        file.write_text(changed)
        other = platform.refused("--models", "spirals", "--code", str(file), code=1)
        assert "'probabilities' is off by" in other.stderr


def test_a_recipe_file_that_cannot_be_imported_is_one_sentence(platform: Platform, tmp_path: Path) -> None:
    for name, text, words in (
        ("broken_recipe.py", "import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("wrong_recipe.py", "recipe = 3", "'recipe' is no runtime.train.recipe.Recipe"),
        ("json.py", "recipe = 3", "a module called 'json' already exists; rename the file"),
    ):
        (tmp_path / name).write_text(text)
        done = platform.run(TRAIN, f"{tmp_path / name}:recipe", code=2)
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_shipped_data_is_what_scikit_learn_loads() -> None:
    from sklearn.datasets import load_breast_cancer, load_digits

    for ours, theirs in (
        (data.digits(), load_digits(return_X_y=True)),
        (data.breast_cancer(), load_breast_cancer(return_X_y=True)),
    ):
        assert (ours[0] == theirs[0].astype(np.float32)).all()
        assert (ours[1] == theirs[1]).all()


@pytest.mark.parametrize("classes", [2, 5])
def test_metrics_agree_with_scikit_learns(classes: int) -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    seed = 99
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    for _ in range(5):
        probabilities = random.dirichlet(np.ones(classes), size=200).round(2) + 1e-3
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        targets = random.integers(0, classes, size=200)
        found = metrics.classification({"probabilities": probabilities}, targets)
        best = probabilities.argmax(axis=1)
        assert found["accuracy"] == pytest.approx(accuracy_score(targets, best))
        assert found["f1"] == pytest.approx(f1_score(targets, best, average="macro"))
        assert found["loss"] == pytest.approx(log_loss(targets, probabilities))
        scores = probabilities[:, 1] if classes == 2 else probabilities
        assert found["auc"] == pytest.approx(roc_auc_score(targets, scores, multi_class="ovr"))


# --------------------------------------------------------------------------------------------------- registry commands


def test_show_and_search_tell_people_and_programs_the_same(platform: Platform) -> None:
    shown = platform.json(MODELS, "show", "digits:1")
    lines = dict(line.split("\t", 1) for line in platform.run(MODELS, "show", "digits:1").stdout.splitlines())
    assert lines["digest"] == shown["digest"]
    assert lines["lineage.data"] == shown["lineage"]["data"]
    listed = [line.split("\t") for line in platform.run(MODELS, "list").stdout.splitlines()]
    assert ["digits", "champion 1"] in [[cells[0], cells[3]] for cells in listed]
    assert platform.run(MODELS, "search", "metrics.accuracy > 2").stderr == "no version matches\n"
    (found,) = platform.json(MODELS, "search", "metrics.accuracy > 0.9 and params.epochs = '12'")
    assert found["digest"] == shown["digest"]


def test_an_alias_is_set_and_removed(platform: Platform) -> None:
    assert platform.run(MODELS, "alias", "digits", "blessed", "1").stdout == "digits@blessed is version 1\n"
    assert platform.json(MODELS, "show", "digits@blessed")["version"] == 1
    assert platform.run(MODELS, "alias", "digits", "blessed", "none").stdout == "digits@blessed is removed\n"
    assert "blessed" in platform.run(MODELS, "show", "digits@blessed", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "cats"], "cats"),
        (["show", "digits:99"], "99"),
        (["show", "Digits"], "'Digits' names no model"),
        (["alias", "digits", "champion", "newest"], "'newest' is no version"),
        (["search", "metrics.accuracy >"], "metrics.accuracy >"),
        (["copy", "digits", "--to", "absent.json"], "absent.json"),
        (["copy", "digits"], "the following arguments are required: --to"),
        (["delete", "digits"], "invalid choice: 'delete'"),
    ],
)
def test_bad_input_to_the_registry_is_one_sentence_and_exit_code_2(
    platform: Platform, arguments: list[str], words: str
) -> None:
    done = platform.run(MODELS, *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_copied_to_another_cloud_is_served_there_with_equal_digest_and_predictions(
    platform: Platform, tmp_path: Path
) -> None:
    with gcs_server(bucket="isthmus") as gcs:
        storage = {"bucket": gcs.bucket, "endpoint": gcs.url, "project": "test"}
        settings = tmp_path / "gcp.json"
        settings.write_text(json.dumps({"cloud": "gcp", "emulated": True, "storage": storage}))
        copied = platform.json(MODELS, "copy", "digits@champion", "--to", str(settings), "--alias", "champion")
        assert copied["cloud"] == "gcp (emulated)"
        assert copied["digest"] == platform.json(MODELS, "show", "digits@champion")["digest"]
        assert copied["aliases"] == ["champion"]
        with connect(Settings.load(settings, environ={})) as there:
            assert there.registry.get("digits", "champion").lineage["copied_from"] == "local:digits/1"
        other = Platform(settings, platform.environment | {"ISTHMUS_SETTINGS": str(settings)})
        with other.serving("--models", "digits") as on_gcp, platform.serving("--models", "digits") as here:
            rows = here.get("/v1/models/digits/samples")["inputs"]["pixels"]
            request = {"model": "digits", "inputs": rows}
            assert on_gcp.post("/v1/predict", request) == here.post("/v1/predict", request)


# ------------------------------------------------------------------------------------------------------------ clients


def test_the_probe_sends_real_samples_and_reports_what_it_saw(platform: Platform, server: Server) -> None:
    report = platform.json(PROBE, "--url", server.url, "--model", "digits", "--count", "100")
    assert (report["count"], report["errors"], report["model"]) == (100, 0, "digits")
    assert report["accuracy"] >= 0.95
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["curl"].startswith(f"curl -s {server.url}/v1/predict")
    line = platform.run(PROBE, "--url", server.url, "--count", "3").stdout
    assert re.fullmatch(r"digits:1 3 requests, 0 failed, \d+\.\d% right, p50 \d+\.\d\d ms, p99 \d+\.\d\d ms\n", line)


def test_predict_asks_with_a_sample_a_file_or_standard_input(
    platform: Platform, server: Server, tmp_path: Path
) -> None:
    line = platform.run(PREDICT, "digits", "--sample", "3", "--url", server.url).stdout
    found = re.fullmatch(r"(\d)  score [01]\.\d{4}  \d+\.\d\d ms  \(truly (\d)\)\n", line)
    assert found is not None
    assert found[1] == found[2]
    rows = server.get("/v1/models/tumor/samples")["inputs"]["measurements"][:2]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    from_file = platform.json(PREDICT, "tumor", "--file", str(file), "--url", server.url)
    piped = platform.run(
        PREDICT, "tumor", "--file", "-", "--url", server.url, "--json", stdin=json.dumps({"inputs": rows})
    )
    assert json.loads(piped.stdout)["predictions"] == from_file["predictions"]
    assert len(from_file["predictions"]) == 2


@pytest.mark.parametrize(
    ("module", "arguments", "code", "words"),
    [
        (PREDICT, ["digits", "--sample", "100"], 2, "digits has no sample 100; it has 0 to 99"),
        (PREDICT, ["cats", "--sample", "1"], 2, "no model 'cats' is served here: there are digits, tumor"),
        (PREDICT, ["digits"], 2, "give either --sample N or --file PATH"),
        (PREDICT, ["digits", "--file", "absent.json"], 2, "absent.json: cannot be read"),
        (PREDICT, ["digits", "--file", "-"], 2, "-: is no JSON"),
        (PROBE, ["--model", "cats"], 2, "no such model is served; there are digits, tumor"),
        (PROBE, ["--count", "0"], 2, "--count must be at least 1, not 0"),
    ],
)
def test_a_client_says_what_was_wrong_in_one_sentence(
    platform: Platform, server: Server, module: str, arguments: list[str], code: int, words: str
) -> None:
    done = platform.run(module, *arguments, "--url", server.url, code=code)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_client_without_a_server_says_so(platform: Platform) -> None:
    for module in (PREDICT, PROBE):
        arguments = ["digits", "--sample", "1"] if module == PREDICT else []
        assert (
            "no server answers there" in platform.run(module, *arguments, "--url", "http://127.0.0.1:9", code=1).stderr
        )
        assert "is no address of a server" in platform.run(module, *arguments, "--url", "nowhere", code=2).stderr


def test_the_server_answers_before_torch_is_imported() -> None:
    import subprocess

    script = "import sys, runtime.serve.server; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
