"""Training is deterministic, knows what it has done before, and crowns only who deserves it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from adapters.errors import Conflict, Corrupt, Invalid, NotFound
from adapters.ports import ModelRegistry, ModelVersion
from runtime.models.tabular import TabularNet
from runtime.registry import package
from runtime.registry.table import print_table
from runtime.train import metrics
from runtime.train.champion import challenge
from runtime.train.fit import Epoch, fit
from runtime.train.lineage import commit, environment
from runtime.train.main import main
from runtime.train.progress import Bar, JsonLines
from tests.runtime.recipes import clouds, recipe, train, with_


def weights(seed: int = 0, **overrides: str) -> bytes:
    fitted = fit(recipe, clouds(), recipe.settle(overrides), seed=seed)
    return b"".join(tensor.numpy().tobytes() for tensor in fitted.module.state_dict().values())


def test_the_same_seed_gives_bit_identical_weights_and_another_seed_others() -> None:
    first = weights()
    torch.rand(7)  # whatever was drawn before does not matter
    torch.set_num_threads(2)
    assert weights() == first
    assert weights(seed=1) != first


def test_a_version_trained_twice_has_the_same_digest(registry: ModelRegistry) -> None:
    first, second = train(registry), train(registry, force=True)
    assert (first.version.version, second.version.version) == (1, 2)
    assert first.version.digest == second.version.digest


def test_each_epoch_is_told_with_its_loss_and_time() -> None:
    told: list[Epoch] = []
    fit(recipe, clouds(), recipe.settle({"epochs": "3"}), seed=0, report=told.append)
    assert [(epoch.number, epoch.of) for epoch in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[2].loss < told[0].loss
    assert all(epoch.seconds > 0 for epoch in told)


def test_a_loss_that_is_no_number_ends_the_training_with_advice() -> None:
    with pytest.raises(Invalid, match="the loss became nan in epoch 1; try a smaller learning rate"):
        fit(
            with_(loss=lambda module, inputs, targets: module(*inputs).sum() * torch.nan),
            clouds(),
            recipe.settle({}),
            seed=0,
        )


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"lr": "1"},
            "clouds has no parameter 'lr'; it has batch_rows, dropout, epochs, learning_rate, weight_decay, width",
        ),
        ({"epochs": "many"}, "epochs must be a whole number, not 'many'; its default is 2"),
        ({"epochs": "1.5"}, "epochs must be a whole number"),
        ({"epochs": "0"}, "epochs must be at least 1, not 0"),
        ({"learning_rate": "nan"}, "learning_rate must be a number, not 'nan'"),
        ({"learning_rate": ""}, "learning_rate must be a number, not ''"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        recipe.settle(overrides)


def test_the_data_digest_changes_with_any_value_name_or_split() -> None:
    data = clouds()
    again, other = clouds(), clouds(seed=6)
    swapped = type(data)(train=data.test, test=data.train)
    assert data.digest() == again.digest()
    assert len({data.digest(), other.digest(), swapped.digest()}) == 3


def test_a_split_keeps_every_row_once_and_the_share_of_each_class() -> None:
    data = clouds()
    rows = np.concatenate([data.train.inputs["point"], data.test.inputs["point"]])
    assert len(np.unique(rows, axis=0)) == 80
    assert np.bincount(data.test.targets).tolist() == [10, 10]


# ----------------------------------------------------------------------------------------------------------- registry


def test_a_version_carries_the_lineage_to_train_it_again(registry: ModelRegistry) -> None:
    made = train(registry, seed=3, epochs=1).version
    assert made.params == {
        "epochs": "1", "batch_rows": "16", "learning_rate": "0.002", "weight_decay": "0.0001", "width": "8", "dropout": "0.1",
    }  # fmt: skip
    assert set(made.metrics) == {"accuracy", "f1", "auc", "loss"}
    lineage = made.lineage
    assert (lineage["seed"], lineage["recipe"], lineage["train_rows"], lineage["test_rows"]) == (
        "3",
        "clouds",
        "60",
        "20",
    )
    assert lineage["data"] == clouds().digest()
    assert lineage["torch"] == str(torch.__version__)
    assert all(re.fullmatch(r"[0-9a-f]{64}", lineage[name]) for name in ("code", "data", "fingerprint", "lock"))
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit())
    assert set(environment()) == {"python", "torch", "numpy", "safetensors", "platform"}


def test_the_same_run_is_found_in_the_registry_and_not_trained_again(registry: ModelRegistry) -> None:
    train(registry)
    again = train(registry)
    assert again.reused
    assert again.version.version == 1
    assert len(registry.versions("clouds")) == 1


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"epochs": 3}, {"force": True}, {"using": with_(data=lambda: clouds(seed=9))}]
)
def test_any_other_run_makes_a_new_version(registry: ModelRegistry, change: dict) -> None:
    train(registry)
    assert train(registry, **change).version.version == 2


def test_the_first_version_is_champion_and_an_equal_one_takes_over(registry: ModelRegistry) -> None:
    assert train(registry).verdict.reason == "there was none before"
    assert train(registry, force=True).verdict.promoted
    assert registry.get("clouds", "champion").version == 2


def registered(registry: ModelRegistry, accuracy: float, data: str = "d") -> ModelVersion:
    return registry.register("m", {"f": b"x"}, metrics={"accuracy": accuracy}, lineage={"data": data})


def never(champion: ModelVersion) -> float:
    raise AssertionError("measured on the same rows: there is no need to measure again")


def test_a_worse_challenger_leaves_the_champion_and_says_why(registry: ModelRegistry) -> None:
    challenge(registry, registered(registry, 0.9), "accuracy", remeasure=never)
    verdict = challenge(registry, registered(registry, 0.8), "accuracy", remeasure=never)
    assert not verdict.promoted
    assert verdict.reason == "its accuracy 0.8000 is below the 0.9000 of version 1"
    assert registry.get("m", "champion").version == 1


def test_a_champion_measured_on_other_rows_is_measured_again_on_these(registry: ModelRegistry) -> None:
    challenge(registry, registered(registry, 0.99, data="easy"), "accuracy", remeasure=never)
    assert challenge(
        registry, registered(registry, 0.8, data="hard"), "accuracy", remeasure=lambda champion: 0.7
    ).promoted
    assert not challenge(
        registry, registered(registry, 0.6, data="harder"), "accuracy", remeasure=lambda champion: 0.7
    ).promoted


def test_a_challenger_whose_metric_is_no_number_never_wins(registry: ModelRegistry) -> None:
    def one_class(outputs: object, targets: object) -> dict[str, float]:
        return {"accuracy": 1.0, "auc": float("nan")}

    made = train(registry, using=with_(evaluate=one_class, metric="auc"))
    assert made.version.metrics == {"accuracy": 1.0}
    assert made.verdict.reason == "its auc is no number"
    with pytest.raises(NotFound):
        registry.get("clouds", "champion")


def test_a_race_for_champion_is_decided_anew_and_the_better_one_stays(registry: ModelRegistry) -> None:
    worse, better = registered(registry, 0.8), registered(registry, 0.9)

    class Raced:
        """The other training sets the alias just before our first attempt."""

        def __getattr__(self, name: str) -> object:
            return getattr(registry, name)

        def set_alias(self, *arguments: object, **options: object) -> int:
            registry.set_alias("m", "champion", better.version)
            return registry.set_alias(*arguments, **options)  # type: ignore[arg-type]

    verdict = challenge(Raced(), worse, "accuracy", remeasure=never)  # type: ignore[arg-type]
    assert not verdict.promoted
    assert registry.get("m", "champion").version == better.version


def test_a_race_that_never_ends_is_a_conflict_and_no_endless_loop(registry: ModelRegistry) -> None:
    version = registered(registry, 0.8)

    class Lost:
        def __getattr__(self, name: str) -> object:
            return getattr(registry, name)

        def set_alias(self, *arguments: object, **options: object) -> int:
            raise Conflict("somebody was first")

    with pytest.raises(Conflict, match="run the training again"):
        challenge(Lost(), version, "accuracy", remeasure=never)  # type: ignore[arg-type]


def test_a_recipe_whose_metric_is_never_measured_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(Invalid, match="gave no 'profit'; set the recipe's metric to one of accuracy, f1, auc, loss"):
        train(registry, using=with_(metric="profit"))
    with pytest.raises(NotFound):
        registry.versions("clouds")


def test_a_champion_on_other_data_is_really_measured_again(registry: ModelRegistry) -> None:
    train(registry, epochs=9, using=with_(data=lambda: clouds(distance=9)))  # an easy set: accuracy 1
    hard = train(registry, epochs=9, using=with_(data=lambda: clouds(seed=8, distance=1)))
    assert "version 1" in hard.verdict.reason
    assert "1.0000" not in hard.verdict.reason.split("the ")[-1]


# ------------------------------------------------------------------------------------------------------------ package


def test_a_champion_that_cannot_be_measured_stays_and_the_line_says_why_and_how_to_replace_it(
    registry: ModelRegistry,
) -> None:
    registry.register("clouds", {"model.json": b"{}"}, metrics={"accuracy": 0.5}, lineage={"data": "others"})
    registry.set_alias("clouds", "champion", 1)
    verdict = train(registry).verdict
    assert not verdict.promoted
    assert verdict.reason.startswith(
        "version 1 was measured on other rows, and cannot be measured on these: clouds:1: model.json"
    )
    assert verdict.reason.endswith("alias clouds champion 2")
    assert registry.get("clouds", "champion").version == 1


def test_a_packaged_model_comes_back_with_the_same_answers(registry: ModelRegistry) -> None:
    version = train(registry).version
    loaded = package.load(registry, version)
    point = np.array([[0.5, 1.5], [2.5, 2.0]], dtype=np.float32)
    answers = package.predict(loaded.module, recipe.signature, {"point": point})
    assert loaded.same_source
    assert [artifact.name for artifact in version.artifacts] == ["model.json", "samples.json", "weights.safetensors"]
    assert answers["probabilities"].shape == (2, 2)
    assert (answers["class"] == answers["probabilities"].argmax(axis=1)).all()


def repackaged(registry: ModelRegistry, **files: bytes) -> ModelVersion:
    """A version like the trained one, but for some files."""
    version = train(registry).version
    old = {artifact.name: registry.read(version, artifact.name) for artifact in version.artifacts}
    return registry.register("clouds", old | {name.replace("_", "."): body for name, body in files.items()})


def manifest_with(registry: ModelRegistry, **architecture: object) -> bytes:
    document = json.loads(registry.read(train(registry).version, "model.json"))
    document["architecture"] |= architecture
    return json.dumps(document).encode()


def test_no_file_of_a_version_is_a_pickle(registry: ModelRegistry) -> None:
    version = train(registry).version
    for artifact in version.artifacts:
        body = registry.read(version, artifact.name)
        assert not body.startswith((b"\x80", b"PK")), artifact.name


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "torch.hub:load", "tests.runtime.recipes:recipe"])
def test_a_manifest_that_names_foreign_code_is_refused_before_it_is_imported(
    registry: ModelRegistry, name: str
) -> None:
    forged = repackaged(registry, model_json=manifest_with(registry, name=name, config={"command": "true"}))
    with pytest.raises(Invalid, match="not bundled, and its code was not named; start with --code"):
        package.load(registry, forged)


def test_a_manifest_that_names_no_class_or_no_module_is_refused(registry: ModelRegistry) -> None:
    for name in ("runtime.models.tabular:torch", "runtime.models.tabular:Nothing", "runtime.models.nothing:Net"):
        with pytest.raises((Invalid, NotFound)):
            package.load(registry, repackaged(registry, model_json=manifest_with(registry, name=name)))


@pytest.mark.parametrize("config", [{"columns": 3}, {"columns": 2, "width": 8, "depth": 3}, {"columns": "two"}])
def test_weights_that_do_not_fit_the_architecture_are_refused_by_name_and_version(
    registry: ModelRegistry, config: dict
) -> None:
    version = repackaged(registry, model_json=manifest_with(registry, config=config))
    with pytest.raises(
        Corrupt, match=rf"clouds:{version.version}: its weights do not fit runtime.models.tabular:TabularNet"
    ):
        package.load(registry, version)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model": 3}', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_refused_by_name_and_version(registry: ModelRegistry, body: bytes) -> None:
    version = repackaged(registry, model_json=body)
    with pytest.raises(Corrupt, match=rf"clouds:{version.version}: model.json cannot be read"):
        package.load(registry, version)


def test_weights_that_are_no_safetensors_are_refused(registry: ModelRegistry) -> None:
    version = train(registry).version
    old = {artifact.name: registry.read(version, artifact.name) for artifact in version.artifacts}
    broken = registry.register("clouds", old | {"weights.safetensors": b"\x80\x04pickle"})
    with pytest.raises(Corrupt, match="do not fit"):
        package.load(registry, broken)


def test_other_weights_of_the_right_shape_are_found_by_the_samples(registry: ModelRegistry) -> None:
    version, other = train(registry).version, train(registry, seed=1).version
    files = {artifact.name: registry.read(version, artifact.name) for artifact in version.artifacts}
    swapped = registry.register("clouds", files | {"weights.safetensors": registry.read(other, "weights.safetensors")})
    with pytest.raises(Corrupt, match=r"'probabilities' is off by .* on the samples it was packaged with"):
        package.load(registry, swapped)


def test_changed_source_with_the_same_answers_loads_and_is_told(registry: ModelRegistry) -> None:
    version = repackaged(registry, model_json=manifest_with(registry, source_sha256="0" * 64))
    assert not package.load(registry, version).same_source


class Stubborn(TabularNet):
    """Trains, but cannot be rebuilt: what a server would find out, training finds out first."""

    def __init__(self, columns: int, width: int, built: list[int] = []) -> None:  # noqa: B006
        if built:
            raise RuntimeError("only once")
        built.append(1)
        super().__init__(columns=columns, width=width)


def test_a_model_that_no_server_could_load_is_not_registered(registry: ModelRegistry) -> None:
    with pytest.raises(Corrupt, match=r"clouds: its weights do not fit .*Stubborn: RuntimeError: only once"):
        train(registry, using=with_(architecture=Stubborn))
    with pytest.raises(NotFound):
        registry.versions("clouds")


# ------------------------------------------------------------------------------------------------------------ metrics


def test_metrics_of_a_case_worked_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.35, 0.65], [0.2, 0.8], [0.7, 0.3]])
    targets = np.array([0, 0, 0, 1, 1])
    found = metrics.classification({"probabilities": probabilities}, targets)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert found["auc"] == pytest.approx(4 / 6)  # of six pairs, 0.3 beats only 0.1 and 0.8 beats all three
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8, 0.3]).mean())


def test_ties_count_half_and_one_class_alone_has_no_auc() -> None:
    assert metrics.macro_auc(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])) == 0.5
    assert np.isnan(metrics.macro_auc(np.array([[0.5, 0.5]]), np.array([1])))


def test_a_certain_and_wrong_answer_costs_much_but_not_infinitely() -> None:
    assert 10 < metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 20


# ------------------------------------------------------------------------------------------------------------ command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "nothing: no such model; bundled are digits, tumor"),
        (["./absent.py:recipe"], "./absent.py: there is no such Python file"),
        (["no.such.module:recipe"], "there is no module 'no'"),
        (["runtime.train.digits:load"], "'load' is no runtime.train.recipe.Recipe"),
        (["digits", "--set", "speed=9"], "digits has no parameter 'speed'"),
        (["digits", "--epochs", "x"], "epochs must be a whole number, not 'x'"),
        (["digits", "--set", "novalue"], "--set takes NAME=VALUE, not 'novalue'"),
        (["digits", "--seed", "x"], "invalid int value: 'x'"),
        (["digits", "--device", "tpu"], "invalid choice: 'tpu'"),
        ([], "the following arguments are required: model"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    assert code == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_terminal_gets_a_bar_with_the_sentences_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.begin("clouds", epochs=2, seed=0)
    bar.epoch(Epoch(1, 2, 0.5, 0.1))
    bar.event("registered", "clouds version 1 registered", version=1)
    bar.epoch(Epoch(2, 2, 0.25, 0.1))
    bar.event("done", "", summary="not for people")
    bar.close()
    said = capsys.readouterr().out
    assert "clouds version 1 registered\n" in said
    assert re.search(r"training clouds .* 2/2 loss 0.2500", said)
    assert "not for people" not in said


def test_a_terminal_gets_a_table_and_a_pipe_tab_separated_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_table(("model", "version"), [("digits", 1)])
    assert capsys.readouterr().out == "digits\t1\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(("model", "version"), [("digits", 1)])
    heading, row = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert heading.split() == ["model", "version"]
    assert row.split() == ["digits", "1"]


def test_json_lines_are_one_object_each_and_the_last_has_a_summary(
    capsys: pytest.CaptureFixture[str], registry: ModelRegistry
) -> None:
    import sys

    from runtime.train.run import run

    module = sys.modules["tests.runtime.recipes"]
    run(registry, recipe, module, JsonLines(), place="clouds", overrides={}, seed=0, device="cpu")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["begin", "epoch", "epoch", "registered", "alias", "done"]
    assert re.fullmatch(r"clouds:1 trained, accuracy 0\.\d{4}, champion", events[-1]["summary"])
