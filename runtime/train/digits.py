"""Handwritten digits: 1,797 real 8x8 scans that scikit-learn ships (UCI "Optical Recognition of Handwritten Digits")."""

from __future__ import annotations

from runtime.domain.signature import classifier
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.models.digits import DigitsNet
from runtime.train import data
from runtime.train.recipe import Data, Params, Recipe
from runtime.train.splits import stratified


def load() -> Data:
    """Four fifths to learn from, one fifth held out; the same rows on every run."""
    pixels, digits = data.digits()
    return stratified({"pixels": pixels}, digits, held_out=0.2)


def config(params: Params) -> dict[str, object]:
    return {"width": params["width"], "dropout": params["dropout"]}


recipe = Recipe(
    model="digits",
    summary="Which digit a person wrote, from an 8x8 scan",
    signature=classifier(
        TensorSpec(
            name="pixels",
            datatype=Datatype.FP32,
            shape=(ANY, 64),
            minimum=0,
            maximum=16,
            description="brightness 0 to 16, row by row from the top",
        ),
        labels=tuple("0123456789"),
    ),
    data=load,
    architecture=DigitsNet,
    config=config,
    params={"epochs": 12, "learning_rate": 5e-3, "width": 32, "dropout": 0.25},
    metric="accuracy",
    samples=100,
    samples_public=True,
)
