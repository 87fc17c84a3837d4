"""Rooms of the runtime know of each other only what is on their doors."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[3] / "runtime"
SHARED = {"domain", "models", "command"}
CONTEXTS = sorted(
    folder.name for folder in RUNTIME.iterdir() if (folder / "__init__.py").is_file() and folder.name not in SHARED
)


def facade(context: str) -> set[str]:
    """The modules that a context's docstring offers to others."""
    text = ast.get_docstring(ast.parse((RUNTIME / context / "__init__.py").read_text())) or ""
    return set(re.findall(r"`(runtime\.[a-z_.]+)`", text))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if (RUNTIME.parent / Path(*name.split("."))).with_suffix(".py").is_file()}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_context_imports_another_only_through_its_facade(context: str) -> None:
    strangers = {
        name
        for path in (RUNTIME / context).rglob("*.py")
        for name in imports(path)
        if name.startswith("runtime.") and name.split(".")[1] not in SHARED | {context}
    }
    assert strangers <= {name for other in CONTEXTS for name in facade(other)}


def test_the_domain_imports_nothing_of_ours_and_no_torch() -> None:
    for path in (RUNTIME / "domain").rglob("*.py"):
        tree = ast.parse(path.read_text())
        roots = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not roots & {"torch", "adapters"}
        assert all(
            name.startswith("runtime.domain") or name.split(".")[0] not in ("runtime", "torch", "adapters")
            for name in froms
        )


def test_the_architectures_import_torch_and_nothing_of_ours() -> None:
    for path in (RUNTIME / "models").rglob("*.py"):
        assert not {name for name in imports(path) if name.split(".")[0] in ("runtime", "adapters")}
