"""The walls between rooms, beyond what the import contracts can say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.__main__ import FOLDERS

ROOT = Path(__file__).resolve().parent.parent.parent
RUNTIME_PYTHON = ROOT / ".venv-runtime" / "bin" / "python"
CLOUDS = ("local", "onprem", "aws", "gcp")


def tracked(pattern: str = "*.py") -> list[Path]:
    """Files git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def under(folder: str) -> list[Path]:
    return [path for path in tracked() if path.relative_to(ROOT).parts[0] == folder]


def test_only_settings_reads_the_environment_of_the_adapters_and_the_runtime() -> None:
    reader = ROOT / "adapters" / "settings.py"
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in under("adapters") + under("runtime")
        if path != reader
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"))
        or (isinstance(node, ast.Name) and node.id == "getenv")
    ]
    assert not found


def test_nothing_outside_a_cloud_folder_names_that_folder() -> None:
    named = re.compile(r"(?:adapters|infra)\.clouds\.(\w+)")
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for top in ("adapters", "infra", "runtime", "cli")
        for path in under(top)
        if "clouds" not in path.parts
        for match in named.finditer(path.read_text())
        if match.group(1) in CLOUDS
    ]
    assert not found


def test_no_runtime_file_knows_which_cloud_it_is_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in under("runtime")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        and any(isinstance(side, ast.Constant) and side.value in CLOUDS for side in [node.left, *node.comparators])
    ]
    assert not found


@pytest.mark.parametrize("module", ["adapters", "adapters.settings", "adapters.ports"])
def test_importing_the_adapters_loads_no_vendor_library(module: str) -> None:
    vendors = "boto3 botocore google.cloud obstore confluent_kafka redis sqlalchemy torch kubernetes pydantic"
    script = f"import sys, {module}; print([v for v in {vendors.split()!r} if v in sys.modules])"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([RUNTIME_PYTHON, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_the_local_program_imports_no_vendor_library() -> None:
    vendors = "boto3 botocore google.cloud confluent_kafka pulumi_aws pulumi_gcp pulumi_kubernetes"
    script = f"import sys, infra.clouds.local; print([v for v in {vendors.split()!r} if v in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_test_file_runs_in_exactly_one_environment() -> None:
    folders = [folder for parts in FOLDERS.values() for part in parts.values() for folder in part]
    assert len(folders) == len(set(folders))
    for path in tracked("tests/**/test_*.py"):
        name = path.relative_to(ROOT).as_posix()
        assert sum(name.startswith(folder + "/") for folder in folders) == 1, name


def test_files_stay_small_enough_to_be_one_noun() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in tracked() if (lines := path.read_text().count("\n")) > 450}
    assert not long


def test_no_path_of_one_machine_and_no_address_in_a_lock_file() -> None:
    homes = re.compile(rf"(?<![\w/])(?:{re.escape(str(ROOT))}|{re.escape(str(Path.home()))})/")
    for path in tracked("*"):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        assert not homes.search(text), f"{path.relative_to(ROOT)} names a path of this machine"
        if path.parent.name == "locks":
            assert "://" not in text, path.name
            assert "sha256:" in text, path.name


def test_each_document_linked_from_the_readme_exists() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
