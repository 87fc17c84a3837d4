"""Metrics of classifiers on held-out rows, in numpy. Each agrees with scikit-learn's of the same name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SMALLEST = float(np.finfo(np.float32).eps)
"""Probabilities are kept this far from 0 and 1 in the log loss, as scikit-learn does for float32."""


def classification(outputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, float]:
    """`accuracy`, macro `f1`, macro one-vs-rest `auc` and log `loss` from `probabilities` [rows, classes]."""
    probabilities = outputs["probabilities"].astype(np.float64)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == targets)),
        "f1": macro_f1(probabilities.argmax(axis=1), targets),
        "auc": macro_auc(probabilities, targets),
        "loss": log_loss(probabilities, targets),
    }


def macro_f1(predicted: np.ndarray, targets: np.ndarray) -> float:
    """The mean over classes of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in np.union1d(predicted, targets):
        hits = np.sum((predicted == label) & (targets == label))
        scores.append(2 * hits / (np.sum(predicted == label) + np.sum(targets == label)))
    return float(np.mean(scores))


def macro_auc(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The mean over classes of the area under the ROC curve of that class against the rest; with two, of the second."""
    classes = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return float(np.mean([_auc(probabilities[:, label], targets == label) for label in classes]))


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log-likelihood of the true classes."""
    right = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.clip(right, SMALLEST, 1 - SMALLEST)).mean())


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Mann and Whitney's U over the number of pairs; ties count half. NaN when there is only one class."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[places]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
