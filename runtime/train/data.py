"""Data sets that scikit-learn ships, as arrays. Read as files: importing scikit-learn would take longer than the training."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from adapters.errors import NotInstalled


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels float32 [1797, 64] of brightness 0 to 16, and the digits int64 [1797]: `sklearn.datasets.load_digits`."""
    with gzip.open(_shipped("digits.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """Measurements float32 [569, 30], and whether benign, int64 [569] of 0 and 1: `sklearn.datasets.load_breast_cancer`."""
    table = np.loadtxt(_shipped("breast_cancer.csv"), delimiter=",", skiprows=1)
    return table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)


def _shipped(name: str) -> Path:
    spec = importlib.util.find_spec("sklearn")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(place) / "datasets" / "data" / name).is_file():
            return path
    raise NotInstalled(
        "scikit-learn, which ships this data, is not installed", name=name, cure="pip install -e '.[runtime]'"
    )
