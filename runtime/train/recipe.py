"""A recipe: everything that is particular to one model. The two bundled ones and yours are values of this one type."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from adapters.errors import Invalid
from runtime.domain.signature import Signature
from runtime.train.metrics import classification

Value: TypeAlias = int | float | str
Params: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of data: one array per input of the signature, row i of each belonging together, and their targets."""

    inputs: Mapping[str, np.ndarray]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Data:
    """What a model learns from, and the held-out rows that only the evaluation sees."""

    train: Split
    test: Split

    def digest(self) -> str:
        """SHA-256 over every array's name, type, shape and bytes: the data's version."""
        digest = hashlib.sha256()
        for part, split in (("train", self.train), ("test", self.test)):
            for name, array in [*sorted(split.inputs.items()), ("targets", split.targets)]:
                digest.update(f"{part}/{name}:{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def cross_entropy(module: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    """The usual loss of a classifier whose `forward` gives logits: Tensor[batch, classes], Tensor[batch] -> scalar."""
    return nn.functional.cross_entropy(module(*inputs), targets)


def nothing_to_prepare(module: nn.Module, train: Split) -> None:
    """For recipes whose module learns everything by gradients."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train one model.

    `architecture(**config(params))` builds the module: an `nn.Module` whose `forward` feeds the loss and whose `predict` gives
    the signature's outputs. `params` holds every parameter with its default; `epochs`, `batch_rows`, `learning_rate` and
    `weight_decay` steer the training itself.
    """

    model: str
    summary: str
    signature: Signature
    data: Callable[[], Data]
    architecture: Callable[..., nn.Module]
    config: Callable[[Params], dict[str, Any]]
    params: Params = field(default_factory=dict)
    loss: Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor] = cross_entropy
    prepare: Callable[[nn.Module, Split], None] = nothing_to_prepare
    """Called once with the untrained module and the training rows, to learn what needs no gradient (means, vocabularies)."""
    evaluate: Callable[[Mapping[str, np.ndarray], np.ndarray], dict[str, float]] = classification
    """From the model's outputs on the held-out rows and their targets, the metrics."""
    metric: str = "accuracy"
    """The metric by which a version becomes champion; higher is better."""
    samples: int = 16
    """Held-out rows that are packaged with the model and answered again whenever it is loaded."""
    samples_public: bool = False
    """Whether a server may show these rows to callers. Leave it off when the data is not public."""

    def settle(self, overrides: Mapping[str, str]) -> dict[str, Value]:
        """The parameters with these set over the defaults, each of its default's type. Raises Invalid naming the parameter."""
        settled = {**TRAINING_DEFAULTS, **self.params}
        for name, text in overrides.items():
            if name not in settled:
                raise Invalid(
                    f"{self.model} has no parameter {name!r}", name="--set", cure=f"it has {', '.join(sorted(settled))}"
                )
            settled[name] = _typed(name, text, settled[name])
        for name in ("epochs", "batch_rows"):
            if settled[name] < 1:  # type: ignore[operator]
                raise Invalid(
                    f"{name} must be at least 1, not {settled[name]}", name="--set", cure=f"set {name}=1 or more"
                )
        return settled


TRAINING_DEFAULTS: Params = {"epochs": 10, "batch_rows": 64, "learning_rate": 2e-3, "weight_decay": 1e-4}


def rows_as_tensors(split: Split, signature: Signature, device: str) -> tuple[tuple[Tensor, ...], Tensor]:
    """The split's inputs in the signature's order and its targets, on the device."""
    inputs = tuple(
        torch.from_numpy(np.ascontiguousarray(split.inputs[spec.name])).to(device) for spec in signature.inputs
    )
    return inputs, torch.from_numpy(np.ascontiguousarray(split.targets)).to(device)


def _typed(name: str, text: str, default: Value) -> Value:
    if isinstance(default, str):
        return text
    kind, wanted = (int, "a whole number") if isinstance(default, int) else (float, "a number")
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not abs(value) < (2**63 if kind is int else math.inf):  # NaN neither
        raise Invalid(f"{name} must be {wanted}, not {text!r}", name="--set", cure=f"its default is {default}")
    return value
