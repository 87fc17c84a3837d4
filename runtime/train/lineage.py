"""Where a version came from: enough to train it again, and to see that it was trained already."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import runtime
from runtime.registry.code import source_digest
from runtime.train.recipe import Data, Params, Recipe

TRAINING_SOURCES = ("runtime.train.fit", "runtime.train.recipe", "runtime.train.metrics")
CHECKOUT = Path(runtime.__file__).parents[1]


def code_digest(recipe: Recipe, recipe_module: str) -> str:
    """SHA-256 over the sources that decide the weights: the recipe's, its architecture's and the training's own."""
    used = {recipe_module, recipe.architecture.__module__, *TRAINING_SOURCES}
    return source_digest(*sorted(used))


def fingerprint(code: str, data: str, params: Params, seed: int) -> str:
    """Equal fingerprints mean the same code on the same data with the same parameters and seed: no need to train again."""
    settled = json.dumps({"code": code, "data": data, "params": dict(params), "seed": seed}, sort_keys=True)
    return hashlib.sha256(settled.encode()).hexdigest()


def lineage(
    recipe: Recipe, recipe_place: str, recipe_module: str, data: Data, params: Params, *, seed: int, device: str
) -> dict[str, str]:
    """What the registry keeps of this run. Keys are stable; digests are SHA-256 in hexadecimal."""
    code, rows = code_digest(recipe, recipe_module), data.digest()
    found = {
        "fingerprint": fingerprint(code, rows, params, seed),
        "recipe": recipe_place.rpartition("/")[2],  # where a file lay on somebody's machine is nobody's business
        "code": code,
        "commit": commit(),
        "data": rows,
        "train_rows": str(len(data.train)),
        "test_rows": str(len(data.test)),
        "seed": str(seed),
        "device": device,
        "lock": lock_digest(),
        **environment(),
    }
    return {name: value for name, value in found.items() if value}


def environment() -> dict[str, str]:
    """Interpreter, libraries and machine, without anything that names the machine or its user."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "safetensors": version("safetensors"),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
    }


def commit() -> str:
    """The checkout's commit, `-dirty` when `runtime` differs from it; empty outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("-dirty" if _git("status", "--porcelain", "--", "runtime") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def lock_digest() -> str:
    """SHA-256 of the runtime's lock file; empty where it is not shipped."""
    lock = CHECKOUT / "locks" / "runtime.txt"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""


def same_run(lineages: Mapping[int, Mapping[str, str]], mark: str) -> int | None:
    """The newest version whose lineage bears this fingerprint."""
    return max((number for number, known in lineages.items() if known.get("fingerprint") == mark), default=None)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, timeout=5, check=True
    )
    return done.stdout.strip()
