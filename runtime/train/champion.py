"""Champion and challenger: which version the alias `champion` points at after a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from adapters.errors import Conflict, Invalid, NotFound
from adapters.ports import ModelRegistry, ModelVersion
from runtime.domain.reference import CHAMPION

ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger is champion now, and why, in one sentence."""

    promoted: bool
    reason: str


def challenge(
    registry: ModelRegistry, challenger: ModelVersion, metric: str, *, remeasure: Callable[[ModelVersion], float]
) -> Verdict:
    """Point `champion` at the challenger if it is at least as good on the same held-out rows, by compare-and-swap.

    `remeasure` gives a champion's metric on the challenger's held-out rows; it is asked only when the champion was measured
    on other rows, and an Invalid from it leaves the champion where it is. Raises Conflict when others kept winning the race.
    """
    score = challenger.metrics.get(metric)
    if score is None:
        return Verdict(False, f"its {metric} is no number")
    for _ in range(ATTEMPTS):
        champion = _champion(registry, challenger.model)
        verdict = _compare(challenger, champion, metric, score, remeasure)
        if not verdict.promoted or (champion is not None and champion.version == challenger.version):
            return verdict
        try:
            expected = champion.version if champion else None
            registry.set_alias(challenger.model, CHAMPION, challenger.version, expected=expected)
            return verdict
        except Conflict:
            continue
    raise Conflict("other trainings kept changing the champion", name=challenger.model, cure="run the training again")


def _champion(registry: ModelRegistry, model: str) -> ModelVersion | None:
    try:
        return registry.get(model, CHAMPION)
    except NotFound:
        return None


def _compare(
    challenger: ModelVersion,
    champion: ModelVersion | None,
    metric: str,
    score: float,
    remeasure: Callable[[ModelVersion], float],
) -> Verdict:
    if champion is None:
        return Verdict(True, "there was none before")
    if champion.version == challenger.version:
        return Verdict(True, "it is the champion already")
    same_rows = champion.lineage.get("data") == challenger.lineage.get("data")
    try:
        bar = champion.metrics.get(metric, -math.inf) if same_rows else remeasure(champion)
    except Invalid as error:
        return Verdict(False, str(error))
    is_good = score >= bar
    relation = "at least" if is_good else "below"
    return Verdict(is_good, f"its {metric} {score:.4f} is {relation} the {bar:.4f} of version {champion.version}")
