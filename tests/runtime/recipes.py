"""A recipe small enough to train in a unit test: two clouds of points, a few dozen weights."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from adapters.ports import ModelRegistry
from runtime.domain.signature import classifier
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.models.tabular import TabularNet
from runtime.train.progress import Lines
from runtime.train.recipe import Data, Params, Recipe
from runtime.train.run import Outcome, run
from runtime.train.splits import stratified


def clouds(seed: int = 5, distance: float = 2.0) -> Data:
    random = np.random.default_rng(seed)
    targets = np.arange(80) % 2
    points = random.normal(size=(80, 2)) + targets[:, None] * distance
    return stratified({"point": points.astype(np.float32)}, targets.astype(np.int64), held_out=0.25)


def config(params: Params) -> dict[str, object]:
    return {"columns": 2, "width": params["width"]}


recipe = Recipe(
    model="clouds",
    summary="Which of two clouds a point is from",
    signature=classifier(TensorSpec(name="point", datatype=Datatype.FP32, shape=(ANY, 2)), labels=("near", "far")),
    data=clouds,
    architecture=TabularNet,
    config=config,
    params={"epochs": 2, "batch_rows": 16, "width": 8, "dropout": 0.1},
)


def train(
    registry: ModelRegistry, *, seed: int = 0, force: bool = False, using: Recipe = recipe, **params: object
) -> Outcome:
    """Train and register quietly."""
    overrides = {name: str(value) for name, value in params.items()}
    module = sys.modules[__name__]
    return run(
        registry, using, module, Lines(), place="clouds", overrides=overrides, seed=seed, device="cpu", force=force
    )


def with_(**changes: object) -> Recipe:
    return replace(recipe, **changes)  # type: ignore[arg-type]
