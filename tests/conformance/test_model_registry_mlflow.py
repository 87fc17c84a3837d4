"""The registry on a real MLflow server: the suite, what MLflow shows of it, and what others can do to it there."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters import connect
from adapters.conformance.model_registry import Damage, ModelRegistrySuite
from adapters.drivers.registry import mlflow
from adapters.drivers.registry.mlflow import MlflowRegistry
from adapters.drivers.registry.mlflow_api import MlflowApi, Stored
from adapters.drivers.registry.mlflow_log import PREFIX
from adapters.drivers.storage import memory, s3
from adapters.errors import Conflict, Corrupt, Invalid, NotFound, Transient
from adapters.ports import Body, ModelVersion, ObjectStorage
from adapters.settings import RegistrySettings, Settings, StorageSettings
from tests.conformance.test_model_registry import overwriting, s3_access
from tests.conformance.test_model_registry_processes import MODEL, check, crowd
from tests.mlflow_server import Person, mlflow_server
from tests.servers import s3_server

FILES: dict[str, Body | Path] = {"weights.safetensors": b"weights"}

Open = Callable[..., MlflowRegistry]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with mlflow_server() as url:
        yield url


@pytest.fixture(scope="module")
def storage() -> ObjectStorage:
    return memory.open(StorageSettings())


@pytest.fixture
def opened(url: str, storage: ObjectStorage) -> Iterator[Open]:
    """Opens a registry that shares nothing with others but the servers, over a kind of `MlflowApi`."""
    with contextlib.ExitStack() as stack:

        def fresh(kind: type[MlflowApi] = MlflowApi, **options: Any) -> MlflowRegistry:
            api = kind(RegistrySettings(mlflow_url=url))
            return stack.enter_context(contextlib.closing(MlflowRegistry(api, storage, **options)))

        yield fresh


@pytest.fixture
def registry(opened: Open) -> MlflowRegistry:
    return opened()


@pytest.fixture
def elsewhere(opened: Open) -> MlflowRegistry:
    return opened()


@pytest.fixture
def model() -> str:
    return f"model-{uuid.uuid4().hex[:12]}"


class TestMlflow(ModelRegistrySuite):
    random_steps = 20

    @pytest.fixture
    def damage(self, storage: ObjectStorage) -> Damage:
        return overwriting(storage)


def test_a_process_killed_between_the_number_and_the_log_leaves_a_version_that_appears_with_the_next(
    tmp_path: Path, url: str
) -> None:
    where = RegistrySettings(mlflow_url=url)
    with (
        s3_server() as server,
        contextlib.closing(s3.open(s3_access(server, tmp_path))) as storage,
        contextlib.closing(mlflow.open(where, storage)) as registry,
    ):
        settings = Settings(cloud="onprem", storage=s3_access(server, tmp_path), registry=where)
        made, attempts = crowd(tmp_path, settings, registry)
        registry.register(MODEL, {"config.json": b"after"})
        check(registry, made, attempts, killed={"before-record", "after-record"})


def test_the_settings_choose_mlflow(url: str) -> None:
    with connect(Settings(cloud="memory", registry=RegistrySettings(mlflow_url=url))) as platform:
        assert isinstance(platform.registry, MlflowRegistry)
        name = f"model-{uuid.uuid4().hex[:12]}"
        assert platform.registry.register(name, FILES).version == 1
        assert name in platform.registry.models()


# ------------------------------------------------------------------------------------------------- what MLflow shows


@pytest.fixture
def person(url: str) -> Person:
    return Person(url)


def test_mlflow_shows_versions_with_their_files_facts_and_runs(
    registry: MlflowRegistry, person: Person, model: str
) -> None:
    made = registry.register(
        model,
        FILES,
        metrics={"accuracy": 0.93},
        params={"depth": "3", "note": "x" * 9000},
        lineage={"commit": "0a1b"},
        tags={"team": "risk", "a?": "MLflow refuses this name", "mlflow.prompt.is_prompt": "true"},
    )
    shown = person.version(model, 1)
    assert (shown["status"], "weights.safetensors" in shown["description"]) == ("READY", True)
    assert made.artifacts[0].sha256 in shown["description"] and shown["source"].endswith(f"#{made.digest}")
    kept = {name: value for name, value in shown["tags"].items() if not name.startswith("isthmus.")}
    assert kept == {"team": "risk", "lineage.commit": "0a1b"}
    assert shown["tags"]["isthmus.digest"] == made.digest
    run = person.ask("runs/get", run_id=shown["run_id"])["run"]
    assert [(metric["key"], metric["value"]) for metric in run["data"]["metrics"]] == [("accuracy", 0.93)]
    assert {param["key"]: len(param["value"]) for param in run["data"]["params"]} == {"depth": 1, "note": 4000}
    assert run["info"]["status"] == "FINISHED"
    assert made.params["note"] == "x" * 9000 and made.tags["a?"] == "MLflow refuses this name"


def test_mlflow_shows_aliases_and_tags_as_they_move(registry: MlflowRegistry, person: Person, model: str) -> None:
    for _ in range(2):
        registry.register(model, FILES, tags={"stage": "new"})
    registry.set_alias(model, "champion", 1)
    assert person.alias(model, "champion") == 1
    registry.set_alias(model, "champion", 2)
    registry.set_tags(model, 2, {"stage": None, "by": ""})
    assert person.alias(model, "champion") == 2
    tags = person.version(model, 2)["tags"]
    assert tags["by"] == "" and "stage" not in tags
    registry.set_alias(model, "champion", None)
    with pytest.raises(httpx.HTTPStatusError):
        person.alias(model, "champion")


def test_of_two_writers_whose_words_cross_mlflow_shows_the_later(
    opened: Open, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    crossed: list[int] = []

    class Slow(MlflowApi):
        def post(self, path: str, fields: Any) -> dict[str, Any]:
            if path == "registered-models/alias" and not crossed:
                crossed.append(elsewhere.set_alias(model, "champion", 2))
                assert person.alias(model, "champion") == 2
            return super().post(path, fields)

    registry = opened(Slow)
    for _ in range(2):
        registry.register(model, FILES)
    assert registry.set_alias(model, "champion", 1) < crossed[0]
    assert person.alias(model, "champion") == 2


# ------------------------------------------------------------------------------------------- what others do in MLflow


def test_what_a_person_moves_in_mlflow_is_not_seen_and_put_back_by_the_next_change(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    for _ in range(2):
        registry.register(model, FILES, tags={"team": "risk"})
    registry.set_alias(model, "champion", 1)
    epoch = registry.epoch(model)
    person.do("registered-models/alias", name=model, alias="champion", version="2")
    person.do("registered-models/alias", name=model, alias="theirs", version="2")
    person.do("model-versions/set-tag", name=model, version="1", key="team", value="vision")
    for client in (registry, elsewhere):
        assert (client.get(model, "champion").version, client.epoch(model)) == (1, epoch)
        assert client.get(model, 1).tags == {"team": "risk"}
    registry.set_alias(model, "champion", 1, expected=1)
    registry.set_tags(model, 1, {"team": "risk"})
    assert (person.alias(model, "champion"), person.alias(model, "theirs")) == (1, 2)
    assert person.version(model, 1)["tags"]["team"] == "risk"


def test_a_version_that_another_program_made_is_none_of_ours(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    person.do("registered-models/create", name=model)
    person.do("model-versions/create", name=model, source="s3://bucket/theirs")
    assert model not in registry.models()
    with pytest.raises(NotFound, match="no such model"):
        registry.get(model, 1)
    assert registry.register(model, FILES).version == 2
    person.do("model-versions/create", name=model, source="s3://bucket/theirs")
    assert registry.register(model, FILES).version == 4
    for client in (registry, elsewhere):
        assert [found.version for found in client.versions(model)] == [4, 2]
        with pytest.raises(NotFound, match="versions are 2, 4"):
            client.get(model, 3)
        with pytest.raises(NotFound):
            client.set_alias(model, "champion", 1)


def test_a_version_deleted_in_mlflow_stays(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    made = [registry.register(model, FILES) for _ in range(2)]
    person.do("model-versions/delete", "DELETE", name=model, version="2")
    assert elsewhere.versions(model) == made[::-1]
    assert elsewhere.register(model, FILES).version == 3


def test_a_model_deleted_in_mlflow_stays_and_no_number_is_given_twice(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    made = registry.register(model, FILES)
    person.do("registered-models/delete", "DELETE", name=model)
    with pytest.raises(NotFound, match=f"{model}: its registered model was deleted"):
        registry.register(model, FILES)
    person.do("registered-models/create", name=model)
    with pytest.raises(Conflict, match="gave the number 1 for a second time"):
        elsewhere.register(model, {"other": b"other"})
    assert elsewhere.versions(model) == [made]
    assert elsewhere.register(model, {"other": b"other"}).version == 2


def test_a_gap_in_the_log_is_named(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    registry.register(model, FILES)
    registry.set_alias(model, "champion", 1)
    registry.set_alias(model, "champion", None)
    person.do("model-versions/delete", "DELETE", name=f"{PREFIX}{model}", version="2")
    with pytest.raises(Corrupt, match=rf"{PREFIX}{model} version 3: version 2, which goes before it, was deleted"):
        elsewhere.get(model, 1)


def test_a_log_deleted_in_mlflow_is_made_anew_from_its_versions_and_who_knew_the_old_one_is_told(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    made = registry.register(model, FILES, params={"depth": "3"})
    registry.set_alias(model, "champion", 1)
    person.do("registered-models/delete", "DELETE", name=f"{PREFIX}{model}")
    assert model not in elsewhere.models()
    assert elsewhere.register(model, {"other": b"other"}).version == 2
    found = elsewhere.get(model, 1)
    assert (found.digest, found.params, found.aliases) == (made.digest, made.params, ())
    elsewhere.set_tags(model, 1, {"team": "risk"})
    with pytest.raises(Corrupt, match=rf"{PREFIX}{model} version 3.*other entries up to 2"):
        registry.get(model, 1)


def test_an_entry_changed_in_mlflow_is_named(
    registry: MlflowRegistry, elsewhere: MlflowRegistry, person: Person, model: str
) -> None:
    registry.register(model, FILES, metrics={"accuracy": 0.5})
    log = f"{PREFIX}{model}"
    (key, record), *_ = ((k, v) for k, v in person.version(log, 1)["tags"].items() if "0.5" in v)
    person.do("model-versions/set-tag", name=log, version="1", key=key, value=record.replace("0.5", "0.9"))
    with pytest.raises(Corrupt, match=rf"{log} version 1.*SHA-256"):
        elsewhere.get(model, 1)


def test_a_model_cannot_be_called_like_a_log(registry: MlflowRegistry) -> None:
    with pytest.raises(Invalid, match="those of logs"):
        registry.register(f"{PREFIX}fraud", FILES)


def test_many_and_long_facts_come_back_whole(registry: MlflowRegistry, elsewhere: MlflowRegistry, model: str) -> None:
    facts: dict[str, Any] = {
        "metrics": {f"metric {number}": float(number) for number in range(250)} | {"a?b": 1.0, "../up": 2.0},
        "params": {f"param/{number}": "ü\0✓" * 100 for number in range(150)} | {"depth": "x" * 50_000},
    }
    assert registry.register(model, FILES, **facts) == elsewhere.get(model, 1)
    found = elsewhere.get(model, 1)
    assert {"metrics": found.metrics, "params": found.params} == facts
    with pytest.raises(Invalid, match=rf"{model}.*1,048,576 is the limit") as refusal:
        registry.register(model, FILES, params={"notes": "x" * (1 << 20)})
    (taken,) = re.findall(r"takes ([\d,]+) bytes", str(refusal.value))
    largest = (2 << 20) - int(taken.replace(",", ""))
    for version, length in ((2, largest), (3, 1)):
        assert registry.register(model, FILES, params={"notes": "x" * length}).version == version
    assert len(elsewhere.get(model, 2).params["notes"]) == largest


# --------------------------------------------------------------------------------------------------- lost and late


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("where", ["log", "versions"])
def test_a_change_whose_answer_was_lost_is_made_once(
    opened: Open, elsewhere: MlflowRegistry, person: Person, model: str, where: str, applied: bool
) -> None:
    lost: list[str] = []

    class Losing(MlflowApi):
        def create_version(self, name: str, **fields: Any) -> int:
            if name.startswith(PREFIX) != (where == "log") or len(lost) == 2:
                return super().create_version(name, **fields)
            lost.append(name)
            if applied:
                super().create_version(name, **fields)
            raise Transient("the connection was reset", name=name)

    registry = opened(Losing)
    assert registry.register(model, FILES).version == 1
    registry.set_alias(model, "champion", 1, expected=None)
    assert lost
    assert [found.version for found in elsewhere.versions(model)] == [1]
    assert elsewhere.get(model, "champion").version == 1
    assert (
        int(person.ask("registered-models/get", name=model)["registered_model"]["latest_versions"][0]["version"]) == 1
    )


def test_an_entry_that_arrives_once_more_much_later_changes_nothing(
    opened: Open, elsewhere: MlflowRegistry, model: str
) -> None:
    sent: list[Callable[[], int]] = []

    class Remembering(MlflowApi):
        def create_version(self, name: str, **fields: Any) -> int:
            sent.append(lambda: super(Remembering, self).create_version(name, **fields))
            return sent[-1]()

    registry = opened(Remembering)
    registry.register(model, FILES)
    registry.set_tags(model, 1, {"team": "risk"})
    epoch = elsewhere.set_tags(model, 1, {"team": "vision"})
    assert sent[-1]() > epoch
    for client in (registry, elsewhere, opened()):
        assert (client.epoch(model), client.get(model, 1).tags) == (epoch, {"team": "vision"})


def test_who_decides_on_what_is_no_longer_so_loses_and_moves_no_epoch(
    opened: Open, elsewhere: MlflowRegistry, model: str
) -> None:
    overtaken: list[int] = []

    class Slow(MlflowApi):
        def create_version(self, name: str, **fields: Any) -> int:
            if not overtaken and '"alias_moved"' in str(fields):
                overtaken.append(elsewhere.set_alias(model, "champion", 2))
            return super().create_version(name, **fields)

    registry = opened(Slow)
    for _ in range(3):
        registry.register(model, FILES)
    with pytest.raises(Conflict, match="points at version 2"):
        registry.set_alias(model, "champion", 3, expected=None)
    assert registry.epoch(model) == elsewhere.epoch(model) == overtaken[0]
    overtaken.clear()
    epoch = registry.set_alias(model, "champion", 3)
    assert overtaken[0] < epoch == elsewhere.epoch(model)
    assert elsewhere.get(model, "champion").version == 3


def test_versions_that_were_begun_at_once_appear_in_their_order(
    opened: Open, elsewhere: MlflowRegistry, model: str
) -> None:
    seen: list[list[ModelVersion]] = []

    class Slow(MlflowApi):
        def create_version(self, name: str, **fields: Any) -> int:
            if name.startswith(PREFIX) and not seen:
                seen.append([])
                elsewhere.register(model, {"other": b"other"})
                seen.append(elsewhere.versions(model))
            return super().create_version(name, **fields)

    made = opened(Slow).register(model, FILES)
    assert [found.version for found in seen[1]] == [2, 1]
    assert seen[1][1] == made == elsewhere.get(model, 1)


def test_a_server_that_hides_what_it_acknowledged_is_said_to_read_from_a_replica(opened: Open, model: str) -> None:
    class Stale(MlflowApi):
        def create_version(self, name: str, **fields: Any) -> int:
            return super().create_version(name, **fields) + 1000

        def versions(self, where: str, *, most: int | None = None) -> list[Stored]:
            return []

    with pytest.raises(Transient, match="not from a replica"):
        opened(Stale, patience_seconds=0.3).register(model, FILES)


def test_a_change_is_acknowledged_even_if_mlflow_cannot_show_it(
    opened: Open, elsewhere: MlflowRegistry, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Blind(MlflowApi):
        def post(self, path: str, fields: Any) -> dict[str, Any]:
            if path == "registered-models/alias":
                raise Transient("503")
            return super().post(path, fields)

    registry = opened(Blind)
    registry.register(model, FILES)
    registry.set_alias(model, "champion", 1)
    assert elsewhere.get(model, "champion").version == 1
    assert f"{model}@champion is not shown by MLflow" in caplog.text
