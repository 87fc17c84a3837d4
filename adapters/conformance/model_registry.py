"""What every model registry promises, one test a promise. Give the class three fixtures and run it with pytest.

    class TestMine(ModelRegistrySuite):
        @pytest.fixture
        def registry(self): ...       # may hold other models
        @pytest.fixture
        def elsewhere(self): ...      # the same registry as another process sees it: shares nothing with `registry`
        @pytest.fixture
        def damage(self): ...         # damage(version, file) changes the stored bytes of that file behind its back

Random tests print their seed.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance.model_registry_concurrency import ConcurrencyPromises
from adapters.conformance.model_registry_download import DownloadPromises
from adapters.conformance.model_registry_search import SearchPromises
from adapters.conformance.model_registry_twin import RegistryTwin, answer, random_change, view
from adapters.errors import Conflict, Corrupt, Invalid, NotFound
from adapters.ports import Artifact, ModelRegistry, ModelVersion

Damage = Callable[[ModelVersion, str], None]

CLOCK_SKEW = timedelta(seconds=5)
FILES = {"weights.safetensors": b"weights", "tokenizer/vocab.json": b"{}"}


class ModelRegistrySuite(SearchPromises, DownloadPromises, ConcurrencyPromises):
    """Every promise of `ports.ModelRegistry`."""

    random_steps = 150

    @pytest.fixture
    def model(self) -> str:
        """A name that no other test uses."""
        return f"model-{uuid.uuid4().hex[:12]}"

    # ---------------------------------------------------------------------------------------------- registering

    def test_versions_count_from_1(self, registry: ModelRegistry, model: str) -> None:
        assert [registry.register(model, FILES).version for _ in range(3)] == [1, 2, 3]

    def test_a_version_keeps_what_it_was_registered_with(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        before = datetime.now(UTC) - CLOCK_SKEW
        made = registry.register(
            model,
            FILES,
            metrics={"accuracy": 0.1 + 0.2, "val/loss": -1e-300, "steps": 7},
            params={"optimiser": "adam", "note": "Größe 'x' \"y\" \\ \n ✓"},
            lineage={"dataset": "clicks@42", "commit": "0a1b2c"},
            tags={"team": "risk"},
        )
        found = elsewhere.get(model, 1)
        assert found == made
        assert (found.model, found.version, found.aliases) == (model, 1, ())
        assert found.metrics == {"accuracy": 0.1 + 0.2, "val/loss": -1e-300, "steps": 7.0}
        assert found.params == {"optimiser": "adam", "note": "Größe 'x' \"y\" \\ \n ✓"}
        assert found.lineage == {"dataset": "clicks@42", "commit": "0a1b2c"}
        assert found.tags == {"team": "risk"}
        assert before <= found.created <= datetime.now(UTC) + CLOCK_SKEW

    def test_its_artifacts_are_listed_by_name_with_size_and_digest(self, registry: ModelRegistry, model: str) -> None:
        assert registry.register(model, FILES).artifacts == tuple(
            Artifact(name, len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest()) for name in sorted(FILES)
        )

    def test_its_digest_is_that_of_what_sha256sum_prints_for_its_files(
        self, registry: ModelRegistry, model: str
    ) -> None:
        listing = "".join(f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES))
        assert registry.register(model, FILES).digest == hashlib.sha256(listing.encode()).hexdigest()

    def test_bytes_views_and_paths_are_files_alike(self, registry: ModelRegistry, model: str, tmp_path: Path) -> None:
        path = tmp_path / "anything"
        path.write_bytes(b"same")
        sources = (b"same", bytearray(b"same"), memoryview(b"[same]")[1:5], path)
        made = [registry.register(model, {"file": source}) for source in sources]
        assert len({version.digest for version in made}) == 1
        assert {registry.read(version, "file") for version in made} == {b"same"}

    def test_a_file_of_many_chunks_comes_back_as_it_was(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "large"
        path.write_bytes(random.Random(1).randbytes(20 << 20))
        registry.register(model, {"large.safetensors": path})
        body = elsewhere.read(elsewhere.get(model, 1), "large.safetensors")
        assert hashlib.sha256(body).digest() == hashlib.sha256(path.read_bytes()).digest()

    def test_the_same_files_again_are_a_new_version_of_equal_digest(self, registry: ModelRegistry, model: str) -> None:
        first, second = registry.register(model, FILES), registry.register(model, dict(reversed(FILES.items())))
        assert (second.version, second.digest) == (2, first.digest)
        assert first.digest != registry.register(model, {**FILES, "extra": b""}).digest
        assert first.digest != registry.register(model, {"renamed": b"weights", "tokenizer/vocab.json": b"{}"}).digest

    def test_what_cannot_be_stored_whole_is_not_a_version(
        self, registry: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        with pytest.raises(Invalid, match="missing"):
            registry.register(model, {"a.json": b"{}", "b.json": tmp_path / "missing"})
        assert model not in registry.models()
        assert registry.register(model, FILES).version == 1

    @pytest.mark.parametrize("name", ["", "Fraud", "a b", "../up", ".hidden", "ü", "x" * 101, "a/b"])
    def test_a_model_name_that_some_cloud_could_not_hold_is_refused(self, registry: ModelRegistry, name: str) -> None:
        for call in (
            lambda: registry.register(name, FILES),
            lambda: registry.get(name, 1),
            lambda: registry.versions(name),
            lambda: registry.epoch(name),
            lambda: registry.set_alias(name, "champion", 1),
            lambda: registry.set_tags(name, 1, {"team": "risk"}),
        ):
            with pytest.raises(Invalid, match="a-z"):
                call()

    @pytest.mark.parametrize(
        "name",
        ["", "/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a\\b", "C:a", "a\n", " a", "x" * 513, "a/b ", "a\0"],
    )
    def test_a_file_name_that_leads_out_of_the_version_is_refused(
        self, registry: ModelRegistry, model: str, name: str
    ) -> None:
        with pytest.raises(Invalid, match="name"):
            registry.register(model, {name: b""})
        assert model not in registry.models()

    @pytest.mark.parametrize("files", [{}, {"a": b"", "a/b": b""}, {"Readme": b"", "README": b""}])
    def test_files_that_no_folder_could_hold_together_are_refused(
        self, registry: ModelRegistry, model: str, files: dict[str, bytes]
    ) -> None:
        with pytest.raises(Invalid):
            registry.register(model, files)

    @pytest.mark.parametrize("ending", [".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt", ".bin", ".PT"])
    def test_a_pickle_is_refused(self, registry: ModelRegistry, model: str, ending: str) -> None:
        with pytest.raises(Invalid, match="no pickle anywhere"):
            registry.register(model, {f"weights{ending}": b""})

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", None])
    def test_a_metric_that_is_not_a_finite_number_is_refused(
        self, registry: ModelRegistry, model: str, value: Any
    ) -> None:
        with pytest.raises(Invalid, match=r"metrics\.accuracy"):
            registry.register(model, FILES, metrics={"accuracy": value})

    @pytest.mark.parametrize("what", ["params", "lineage", "tags"])
    def test_what_is_not_text_is_refused(self, registry: ModelRegistry, model: str, what: str) -> None:
        for texts in ({"depth": 3}, {"": "empty"}, {"line\nbreak": "x"}, {"surrogate": "\ud800"}):
            with pytest.raises(Invalid, match=f"{what}"):
                registry.register(model, FILES, **{what: texts})  # pyright: ignore[reportArgumentType]

    def test_versions_cannot_be_changed_by_changing_an_answer(self, registry: ModelRegistry, model: str) -> None:
        made = registry.register(model, FILES, metrics={"accuracy": 0.9}, tags={"team": "risk"})
        for mapping in (made.metrics, made.tags):
            mapping.clear()  # pyright: ignore[reportAttributeAccessIssue]
        found = registry.get(model, 1)
        assert (found.metrics, found.tags) == ({"accuracy": 0.9}, {"team": "risk"})

    # -------------------------------------------------------------------------------------------------- reading

    def test_an_unknown_model_is_not_found(self, registry: ModelRegistry, model: str) -> None:
        for call in (
            lambda: registry.get(model, 1),
            lambda: registry.versions(model),
            lambda: registry.epoch(model),
            lambda: registry.set_alias(model, "champion", None),
            lambda: registry.set_tags(model, 1, {}),
        ):
            with pytest.raises(NotFound, match=model):
                call()
        assert model not in registry.models()

    def test_an_unknown_version_is_not_found(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        for number in (0, 2, -1):
            with pytest.raises(NotFound, match="1"):
                registry.get(model, number)

    def test_an_unknown_alias_is_answered_with_those_there_are(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        registry.set_alias(model, "challenger", 1)
        registry.set_alias(model, "shadow", 1)
        with pytest.raises(NotFound, match="challenger, shadow"):
            registry.get(model, "champion")

    @pytest.mark.parametrize("version", [True, 1.0, None])
    def test_what_is_neither_number_nor_alias_is_refused(
        self, registry: ModelRegistry, model: str, version: Any
    ) -> None:
        registry.register(model, FILES)
        with pytest.raises(Invalid, match="version"):
            registry.get(model, version)

    def test_text_is_always_an_alias(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        with pytest.raises(NotFound):
            registry.get(model, "1")

    def test_a_file_is_read_from_anywhere(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        made = registry.register(model, FILES)
        assert {name: elsewhere.read(made, name) for name in FILES} == FILES

    def test_a_file_that_the_version_lacks_is_not_found(self, registry: ModelRegistry, model: str) -> None:
        made = registry.register(model, FILES)
        with pytest.raises(NotFound, match=r"nothing\.json.*weights\.safetensors"):
            registry.read(made, "nothing.json")

    def test_a_damaged_file_is_refused_with_both_digests(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, damage: Damage, model: str
    ) -> None:
        body = uuid.uuid4().bytes
        made = registry.register(model, {"weights.safetensors": body, "config.json": b"{}"})
        damage(made, "weights.safetensors")
        for reader in (registry, elsewhere):
            with pytest.raises(Corrupt) as refusal:
                reader.read(made, "weights.safetensors")
            told = str(refusal.value)
            recorded = hashlib.sha256(body).hexdigest()
            assert all(word in told for word in (model, "version 1", "weights.safetensors", recorded))
            assert len(set(re.findall("[0-9a-f]{64}", told))) == 2, told
            assert reader.read(made, "config.json") == b"{}"

    def test_versions_are_newest_first(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        made = [registry.register(model, FILES) for _ in range(3)]
        assert elsewhere.versions(model) == made[::-1]

    def test_models_are_sorted_and_named_once(self, registry: ModelRegistry, model: str) -> None:
        ours = [f"{model}.b", f"{model}-c", f"{model}.a"]
        for name in (*ours, ours[0]):
            registry.register(name, FILES)
        found = registry.models()
        assert [name for name in found if name.startswith(model)] == sorted(ours)
        assert found == sorted(set(found))

    # --------------------------------------------------------------------------------------------------- aliases

    def test_an_alias_leads_to_its_version(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        for _ in range(2):
            registry.register(model, FILES)
        registry.set_alias(model, "champion", 1)
        assert elsewhere.get(model, "champion").version == 1
        registry.set_alias(model, "champion", 2)
        registry.set_alias(model, "approved", 2)
        assert elsewhere.get(model, "champion").version == 2
        assert [found.aliases for found in elsewhere.versions(model)] == [("approved", "champion"), ()]

    def test_an_alias_is_removed_by_none(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        registry.set_alias(model, "champion", 1)
        registry.set_alias(model, "champion", None)
        registry.set_alias(model, "champion", None)
        with pytest.raises(NotFound):
            elsewhere.get(model, "champion")
        assert elsewhere.get(model, 1).aliases == ()

    def test_an_alias_moves_only_from_where_it_is_expected(self, registry: ModelRegistry, model: str) -> None:
        for _ in range(2):
            registry.register(model, FILES)
        with pytest.raises(Conflict, match="champion"):
            registry.set_alias(model, "champion", 1, expected=2)
        registry.set_alias(model, "champion", 1, expected=None)
        before = registry.epoch(model)
        for expected in (None, 2):
            with pytest.raises(Conflict, match="version 1"):
                registry.set_alias(model, "champion", 2, expected=expected)
        assert (registry.get(model, "champion").version, registry.epoch(model)) == (1, before)
        registry.set_alias(model, "champion", 2, expected=1)
        registry.set_alias(model, "champion", None, expected=2)
        registry.set_alias(model, "champion", 1, expected=None)
        assert registry.get(model, "champion").version == 1

    def test_an_alias_cannot_lead_nowhere(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        with pytest.raises(NotFound, match="2"):
            registry.set_alias(model, "champion", 2)
        with pytest.raises(NotFound):
            registry.get(model, "champion")

    @pytest.mark.parametrize("alias", ["1", "v1", "007", "latest", "", "A", "a b", "a/b", "-a"])
    def test_an_alias_that_reads_like_a_version_is_refused(
        self, registry: ModelRegistry, model: str, alias: str
    ) -> None:
        registry.register(model, FILES)
        with pytest.raises(Invalid, match="alias"):
            registry.set_alias(model, alias, 1)

    # ------------------------------------------------------------------------------------------------------ tags

    def test_tags_are_merged(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        made = registry.register(model, FILES, tags={"team": "risk", "stage": "new"})
        registry.register(model, FILES)
        registry.set_tags(model, 1, {"stage": "approved", "by": "", "team": None, "absent": None})
        found = elsewhere.get(model, 1)
        assert found.tags == {"stage": "approved", "by": ""}
        assert (found.created, found.digest, found.metrics) == (made.created, made.digest, made.metrics)
        assert elsewhere.get(model, 2).tags == {}

    def test_an_unknown_version_cannot_be_tagged(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        with pytest.raises(NotFound):
            registry.set_tags(model, 2, {"team": "risk"})

    # ----------------------------------------------------------------------------------------------------- epoch

    def test_every_change_has_a_higher_epoch(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        epochs = list[int]()
        for change in (
            lambda: registry.register(model, FILES) and registry.epoch(model),
            lambda: registry.set_alias(model, "champion", 1),
            lambda: registry.set_tags(model, 1, {"team": "risk"}),
            lambda: registry.set_alias(model, "champion", None),
            lambda: registry.set_tags(model, 1, {"team": None}),
            lambda: registry.register(model, FILES) and registry.epoch(model),
        ):
            epochs.append(change())
            assert elsewhere.epoch(model) == registry.epoch(model) == epochs[-1]
        assert epochs == sorted(set(epochs))

    def test_nothing_but_a_change_moves_the_epoch(self, registry: ModelRegistry, model: str) -> None:
        made = registry.register(model, FILES)
        registry.register(f"{model}-other", FILES)
        before = registry.epoch(model)
        registry.versions(model)
        registry.read(made, "weights.safetensors")
        registry.search(f"model = '{model}'")
        registry.set_tags(f"{model}-other", 1, {"team": "risk"})
        with pytest.raises(Conflict):
            registry.set_alias(model, "champion", 1, expected=1)
        assert registry.epoch(model) == before

    def test_whoever_asks_after_a_change_was_acknowledged_sees_it(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        registry.register(model, FILES)
        writers = [registry, elsewhere]
        for step in range(12):
            epoch = writers[step % 2].set_tags(model, 1, {"step": str(step)})
            reader = writers[1 - step % 2]
            assert (reader.epoch(model), reader.get(model, 1).tags["step"]) == (epoch, str(step))

    # ------------------------------------------------------------------------------------------- all at random

    def test_random_changes_add_up_to_what_a_dictionary_says(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        seed = int.from_bytes(os.urandom(4))
        print(f"seed {seed}")
        rng = random.Random(seed)
        twin = RegistryTwin()
        names = [f"{model}-a", f"{model}-b"]
        for step in range(self.random_steps):
            call, arguments = random_change(rng, names)
            told = f"seed {seed}, step {step}: {call} {arguments}"
            clients = rng.choices((registry, elsewhere), k=2)
            assert answer(clients[0], call, arguments) == answer(twin, call, arguments), told
            assert [view(clients[1], name) for name in names] == [twin.view(name) for name in names], told
