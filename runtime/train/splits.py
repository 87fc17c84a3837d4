"""Splitting rows into what is learnt from and what is held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runtime.train.recipe import Data, Split

SPLIT_SEED = 20240229
"""Its own constant: another `--seed` trains another model on the same rows, so that their metrics can be compared."""


def stratified(inputs: Mapping[str, np.ndarray], targets: np.ndarray, *, held_out: float) -> Data:
    """Holds out that share of every class, drawn once and for all, both parts shuffled."""
    random = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    test = np.zeros(len(targets), dtype=bool)
    for label in np.unique(targets):
        rows = random.permutation(np.flatnonzero(targets == label))
        test[rows[: round(len(rows) * held_out)]] = True
    order = random.permutation(len(targets))
    return Data(
        train=_take(inputs, targets, order[~test[order]]),
        test=_take(inputs, targets, order[test[order]]),
    )


def _take(inputs: Mapping[str, np.ndarray], targets: np.ndarray, rows: np.ndarray) -> Split:
    return Split({name: array[rows] for name, array in inputs.items()}, targets[rows])
