"""What a stack may ask for, and how it is told that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.settings import Settings, StorageSettings
from infra import outputs, stackfile
from infra.services import services
from infra.spec import PlatformSpec, SpecError, active_adapters, load

ROOT = Path(__file__).resolve().parents[3]


def test_an_empty_stack_is_the_cheapest_local_one() -> None:
    spec = load({}, environment="try")
    assert (spec.cloud, spec.environment, spec.stream.topics) == ("local", "try", {})


@pytest.mark.parametrize(
    ("platform", "place", "reason"),
    [
        ({"cach": {}}, "cach", "unknown field"),
        ({"cache": {"memory": 1}}, "cache.memory", "unknown field"),
        ({"stream": {"topics": {"a b": {}}}}, "stream.topics", "one of its names is wrong"),
        ({"environment": "other"}, "environment", "the stack's name"),
        ({"cache": {"memory_mib": "much"}}, "cache.memory_mib", "Expected `int`"),
        ({"cache": {"memory_mib": 1}}, "cache.memory_mib", ">= 16"),
        ({"stream": {"topics": {"a": {"partitions": 0}}}}, "stream.topics[...].partitions", ">= 1"),
        ({"serving": {"models": ["Digits!"]}}, "serving.models[0]", "regex"),
        ({"cloud": "mars"}, "cloud", "there is"),
        ({"adapters": ["mars"]}, "adapters", "the clouds known here"),
        ({"storage": {"tiers": {"warm_after_days": 7}}}, "storage.tiers.warm_after_days", "before 30"),
        (
            {"storage": {"tiers": {"warm_after_days": 30, "cold_after_days": 40}}},
            "storage.tiers.cold_after_days",
            "a move before day 60 costs more than it saves",
        ),
        (
            {"storage": {"tiers": {"cold_after_days": 60, "delete_after_days": 100}}},
            "storage.tiers.delete_after_days",
            "delete on day 150 or later",
        ),
        (
            {"storage": {"tiers": {"warm_after_days": 30, "delete_after_days": 45}}},
            "storage.tiers.delete_after_days",
            "delete on day 60 or later",
        ),
    ],
)
def test_a_wrong_field_is_refused_by_its_place(platform: dict, place: str, reason: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(platform, environment="try")
    assert refused.value.place == place
    assert reason in str(refused.value)


def test_a_life_from_hot_to_deleted_that_saves_is_taken() -> None:
    tiers = {"warm_after_days": 30, "cold_after_days": 60, "delete_after_days": 150}
    spec = load({"storage": {"tiers": tiers}}, environment="try")
    assert spec.storage.tiers.delete_after_days == 150


def test_the_variable_comes_before_the_stack_where_the_stack_may_switch() -> None:
    spec = PlatformSpec(environment="local", adapters=("gcp",))
    assert active_adapters(spec, "") == "local"
    assert active_adapters(spec, "local") == "local"
    assert active_adapters(spec, "gcp") == "gcp"


def test_a_variable_that_disagrees_with_the_stack_is_refused_with_what_it_allows() -> None:
    with pytest.raises(SpecError, match=r"CLOUD_PROVIDER is 'aws', but stack 'local' is 'local' or one of gcp"):
        active_adapters(PlatformSpec(environment="local", adapters=("gcp",)), "aws")


def test_an_unknown_cloud_in_the_variable_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="aws, gcp, local, memory, onprem"):
        active_adapters(PlatformSpec(environment="local"), "mars")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no 'isthmus:platform' under config"),
        ("- config\n", "it has no 'isthmus:platform' under config"),
        ("config:\n", "it has no 'isthmus:platform' under config"),
        ("config: 3\n", "it has no 'isthmus:platform' under config"),
        ("config:\n  isthmus:platfrom:\n    cloud: local\n", "it has no 'isthmus:platform' under config"),
        ("config:\n  isthmus:platform:\n", "Pulumi.try.yaml:2: Expected `object`, got None"),
        ("config:\n  isthmus:platform: 3\n", "Pulumi.try.yaml:2: Expected `object`, got 3"),
        ("config: {\n", "is not a stack file"),
        ("\xff", "is not a stack file"),
        ("config:\n  isthmus:platform:\n    cloud: local\n    cach: {}\n", "Pulumi.try.yaml:4: platform.cach: "),
    ],
)
def test_a_file_that_holds_no_platform_is_refused_and_never_taken_for_an_empty_one(
    text: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "Pulumi.try.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError) as refused:
        stackfile.read(file)
    assert file.name in str(refused.value)
    assert words in str(refused.value)


def test_a_mistake_in_a_stack_file_is_shown_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.try.yaml"
    file.write_text("config:\n  isthmus:platform:\n    cloud: local\n    cache:\n      memory_mib: 4\n")
    with pytest.raises(SpecError, match=r"Pulumi.try.yaml:5: platform.cache.memory_mib: Expected `int` >= 16"):
        stackfile.read(file)


def test_a_stack_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.one.yaml").write_text("")
    with pytest.raises(SpecError, match=r"no stack 'two'.*there is one"):
        stackfile.read(tmp_path / "Pulumi.two.yaml")


@pytest.mark.parametrize("text", ["config: [", "config:\n\tx: 1\n"])
def test_what_is_no_stack_file_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "Pulumi.try.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match="not a stack file"):
        stackfile.read(file)


@pytest.mark.parametrize("file", sorted((ROOT / "stacks").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_of_the_checkout_is_right(file: Path) -> None:
    assert stackfile.read(file).environment == file.name.split(".")[1]


def test_outputs_come_back_as_they_went() -> None:
    settings = Settings(cloud="gcp", emulated=True, storage=StorageSettings(bucket="b", endpoint="http://127.0.0.1:1"))
    platform = outputs.PlatformOutputs(
        environment="local", cloud="local", settings=settings, endpoints={"predict": "http://x"}
    )
    assert outputs.parse(platform.exported()) == platform


def test_no_model_to_serve_means_no_server() -> None:
    assert services(PlatformSpec(environment="try")) == []
