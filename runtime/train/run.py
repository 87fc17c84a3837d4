"""One training run: known already? fit, package, register, challenge the champion."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from adapters.errors import AdapterError, Invalid, NotFound
from adapters.ports import ModelRegistry, ModelVersion
from runtime.registry import package
from runtime.registry.manifest import Manifest
from runtime.train.champion import Verdict, challenge
from runtime.train.fit import fit
from runtime.train.lineage import lineage, same_run
from runtime.train.progress import Progress
from runtime.train.recipe import Data, Params, Recipe


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left in the registry."""

    version: ModelVersion
    reused: bool
    verdict: Verdict
    seconds: float

    def facts(self, metric: str) -> dict[str, Any]:
        """For programs: everything, and `summary`, which is for people."""
        version, how = self.version, "reused" if self.reused else "trained"
        place = "champion" if self.verdict.promoted else f"not champion: {self.verdict.reason}"
        return {
            "summary": f"{version.model}:{version.version} {how}, {metric} {version.metrics.get(metric, math.nan):.4f}, {place}",
            "model": version.model,
            "version": version.version,
            "digest": version.digest,
            "metrics": dict(version.metrics),
            "reused": self.reused,
            "champion": self.verdict.promoted,
            "reason": self.verdict.reason,
            "seconds": round(self.seconds, 3),
        }


def run(
    registry: ModelRegistry,
    recipe: Recipe,
    module: ModuleType,
    progress: Progress,
    *,
    place: str,
    overrides: Mapping[str, str],
    seed: int,
    device: str,
    force: bool = False,
) -> Outcome:
    """Train and register, or find that this very run is in the registry and reuse it. Raises what `fit` and the registry do."""
    began = time.monotonic()
    params, data = recipe.settle(overrides), recipe.data()
    origin = lineage(recipe, place, module.__name__, data, params, seed=seed, device=device)
    known = None if force else _known(registry, recipe.model, origin["fingerprint"])
    if known is None:
        version = _train(registry, recipe, data, params, progress, origin=origin, seed=seed, device=device)
    else:
        version = known
        progress.event(
            "reused",
            f"{version.model} version {version.version} was trained from the same code, data and parameters: reused",
            model=version.model,
            version=version.version,
            digest=version.digest,
            metrics=dict(version.metrics),
        )

    def remeasure(champion: ModelVersion) -> float:
        try:
            loaded = package.load(registry, champion, allowed=(module.__name__, recipe.architecture.__module__))
            outputs = package.predict(loaded.module, recipe.signature, data.test.inputs)
            return recipe.evaluate(outputs, data.test.targets)[recipe.metric]
        except (AdapterError, KeyError) as error:
            what = f"version {champion.version} was measured on other rows, and cannot be measured on these: {error}"
            cure = f"to replace it all the same: python -m runtime.registry.main alias {recipe.model} champion {version.version}"
            raise Invalid(what, cure=cure) from error

    verdict = challenge(registry, version, recipe.metric, remeasure=remeasure)
    state = "is champion" if verdict.promoted else "is not made champion"
    sentence = f"{version.model} version {version.version} {state}: {verdict.reason}"
    progress.event("alias", sentence, model=version.model, version=version.version, promoted=verdict.promoted)
    outcome = Outcome(version, known is not None, verdict, time.monotonic() - began)
    progress.event("done", "", **outcome.facts(recipe.metric))
    return outcome


def _known(registry: ModelRegistry, model: str, mark: str) -> ModelVersion | None:
    try:
        versions = {version.version: version for version in registry.versions(model)}
    except NotFound:
        return None
    number = same_run({number: version.lineage for number, version in versions.items()}, mark)
    return None if number is None else versions[number]


def _train(
    registry: ModelRegistry,
    recipe: Recipe,
    data: Data,
    params: Params,
    progress: Progress,
    *,
    origin: Mapping[str, str],
    seed: int,
    device: str,
) -> ModelVersion:
    progress.begin(
        recipe.model,
        epochs=params["epochs"],
        train_rows=len(data.train),
        test_rows=len(data.test),
        seed=seed,
        device=device,
    )
    fitted = fit(recipe, data, params, seed=seed, device=device, report=progress.epoch)
    if recipe.metric not in fitted.metrics:
        raise Invalid(
            f"its evaluation gave no {recipe.metric!r}",
            name=recipe.model,
            cure=f"set the recipe's metric to one of {', '.join(fitted.metrics)}",
        )
    metrics = {name: value for name, value in fitted.metrics.items() if math.isfinite(value)}
    samples = package.sample(fitted.module, recipe.signature, data.test.inputs, data.test.targets, limit=recipe.samples)
    manifest = Manifest(
        model=recipe.model,
        summary=recipe.summary,
        architecture=package.describe_architecture(fitted.module, recipe.config(params)),
        signature=recipe.signature,
        samples_public=recipe.samples_public,
    )
    files = package.pack(fitted.module, manifest, samples)
    package.unpack(files.__getitem__, recipe.model, allowed=(recipe.architecture.__module__,))  # as a server will
    version = registry.register(
        recipe.model,
        files,
        metrics=metrics,
        params={name: str(value) for name, value in params.items()},
        lineage=origin,
    )
    listed = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    progress.event(
        "registered",
        f"{version.model} version {version.version} registered: {listed}",
        model=version.model,
        version=version.version,
        digest=version.digest,
        metrics=metrics,
    )
    return version
