"""Breast tumours: 569 real biopsies that scikit-learn ships (UCI "Breast Cancer Wisconsin (Diagnostic)"), 37% malignant."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from runtime.domain.signature import classifier
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.models.tabular import TabularNet
from runtime.train import data
from runtime.train.recipe import Data, Params, Recipe, Split, rows_as_tensors
from runtime.train.splits import stratified

MALIGNANT, BENIGN = 1, 0


def load() -> Data:
    """Three quarters to learn from, one quarter held out; the same rows on every run."""
    rows, benign = data.breast_cancer()
    return stratified({"measurements": rows}, np.where(benign == 1, BENIGN, MALIGNANT), held_out=0.25)


def config(params: Params) -> dict[str, object]:
    return {"columns": 30, "classes": 2, "width": params["width"], "dropout": params["dropout"]}


def standardise(module: nn.Module, train: Split) -> None:
    """Columns run from hundredths to thousands: the module learns their scale from the training rows alone."""
    assert isinstance(module, TabularNet)
    (rows,), _ = rows_as_tensors(train, recipe.signature, next(module.parameters()).device.type)
    module.fit_columns(rows)


def weighted_loss(module: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    """Cross entropy in which a malignant case weighs as much as its rarity asks: 63 benign to 37 malignant."""
    logits = module(*inputs)
    return nn.functional.cross_entropy(logits, targets, weight=logits.new_tensor([1.0, 1.7]))


recipe = Recipe(
    model="tumor",
    summary="Whether a breast tumour is malignant, from 30 measurements of its cells",
    signature=classifier(
        TensorSpec(
            name="measurements",
            datatype=Datatype.FP32,
            shape=(ANY, 30),
            minimum=0,
            description="mean, error and worst of ten measurements, in the data set's order",
        ),
        labels=("benign", "malignant"),
    ),
    data=load,
    architecture=TabularNet,
    config=config,
    params={"epochs": 30, "batch_rows": 32, "width": 32, "dropout": 0.1},
    loss=weighted_loss,
    prepare=standardise,
    metric="auc",
    samples=100,
    samples_public=True,
)
