"""What every model registry promises of a download: all the files in a folder and checked, or no folder."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.errors import Conflict, Corrupt, Invalid
from adapters.ports import ModelRegistry, ModelVersion

FILES = {"config.json": b"{}", "tokenizer/vocab.json": b"vocabulary"}
LARGE_BYTES = 20 << 20
DOWNLOADERS = 8


def contents(folder: Path) -> dict[str, bytes]:
    """Every file beneath the folder, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class DownloadPromises:
    """A part of `ModelRegistrySuite`."""

    def test_a_version_is_downloaded_as_it_was_registered(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        large = tmp_path / "large"
        large.write_bytes(random.Random(7).randbytes(LARGE_BYTES))
        registry.register(model, {**FILES, "weights.safetensors": large})
        folder = elsewhere.download(elsewhere.get(model, 1), tmp_path / "models" / "first")
        assert contents(folder) == {**FILES, "weights.safetensors": large.read_bytes()}
        assert [path.name for path in folder.parent.iterdir()] == ["first"]

    def test_a_download_that_is_there_is_verified_and_kept(
        self, registry: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        made = registry.register(model, FILES)
        folder = registry.download(made, tmp_path / "first")
        before = (folder / "config.json").stat().st_ino
        assert registry.download(made, folder) == folder
        assert (folder / "config.json").stat().st_ino == before

    @pytest.mark.parametrize("name", ["config.json", "extra.json"])
    def test_a_folder_that_holds_anything_else_is_left_alone(
        self, registry: ModelRegistry, model: str, tmp_path: Path, name: str
    ) -> None:
        made = registry.register(model, FILES)
        folder = registry.download(made, tmp_path / "first")
        (folder / name).write_bytes(b"mine")
        with pytest.raises(Conflict, match=name):
            registry.download(made, folder)
        assert (folder / name).read_bytes() == b"mine"

    def test_of_a_damaged_version_nothing_appears(
        self, registry: ModelRegistry, damage: Callable[[ModelVersion, str], None], model: str, tmp_path: Path
    ) -> None:
        made = registry.register(model, {**FILES, "weights.safetensors": uuid.uuid4().bytes})
        damage(made, "weights.safetensors")
        with pytest.raises(Corrupt, match=rf"{model} version 1, file weights\.safetensors"):
            registry.download(made, tmp_path / "models" / "first")
        assert list((tmp_path / "models").iterdir()) == []

    def test_a_forged_file_name_leads_out_of_no_folder(
        self, registry: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        made = registry.register(model, FILES)
        forged = replace(made, artifacts=(replace(made.artifacts[0], name="../escaped"),))
        with pytest.raises(Invalid):
            registry.download(forged, tmp_path / "first")
        assert list(tmp_path.iterdir()) == []

    def test_several_downloads_to_one_folder_at_once_agree(
        self, registry: ModelRegistry, model: str, tmp_path: Path
    ) -> None:
        made = registry.register(model, FILES)
        with ThreadPoolExecutor(DOWNLOADERS) as pool:
            list(pool.map(lambda _: registry.download(made, tmp_path / "first"), range(DOWNLOADERS)))
        assert contents(tmp_path / "first") == FILES
        assert [path.name for path in tmp_path.iterdir()] == ["first"]
