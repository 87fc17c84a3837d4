"""What a model takes and gives: the part of a model that callers must agree with."""

from __future__ import annotations

import msgspec

from runtime.domain.tensors import ANY, Datatype, TensorSpec

_UNBOUNDED = (Datatype.BOOL, Datatype.BF16, Datatype.BYTES)


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Named inputs and outputs in order. A classifier also names its `labels` and the output that scores them.

    Raises ValueError, naming the tensor and the cure, for a signature that no request could satisfy.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] = ()
    scores: str = ""
    """The output of shape [batch, labels] that holds one score per label; empty when the model is no classifier."""

    def __post_init__(self) -> None:
        _check("input", self.inputs)
        _check("output", self.outputs)
        if bool(self.labels) != bool(self.scores):
            raise ValueError("a classifier names both its labels and the output that scores them; others name neither")
        if self.labels and self.output(self.scores).shape != (ANY, len(self.labels)):
            raise ValueError(
                f"output {self.scores!r} scores {len(self.labels)} labels, so its shape must be [-1, {len(self.labels)}]"
            )

    def input(self, name: str) -> TensorSpec:
        """Raises KeyError."""
        return _named(self.inputs, name)

    def output(self, name: str) -> TensorSpec:
        """Raises KeyError."""
        return _named(self.outputs, name)


def classifier(features: TensorSpec, labels: tuple[str, ...]) -> Signature:
    """The signature of a classifier with one input: `probabilities` [-1, labels] and the winning `class` [-1]."""
    return Signature(
        inputs=(features,),
        outputs=(
            TensorSpec(
                name="probabilities", datatype=Datatype.FP32, shape=(ANY, len(labels)), description="one per label"
            ),
            TensorSpec(name="class", datatype=Datatype.INT64, shape=(ANY,), description="index of the likeliest label"),
        ),
        labels=labels,
        scores="probabilities",
    )


def _named(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise KeyError(name)


def _check(side: str, specs: tuple[TensorSpec, ...]) -> None:
    if not specs:
        raise ValueError(f"a signature needs at least one {side}")
    names = [spec.name for spec in specs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{side} names must differ: {', '.join(sorted(twice))} stands twice")
    for spec in specs:
        if not spec.shape or spec.shape[0] != ANY or any(size != ANY and size < 1 for size in spec.shape):
            raise ValueError(
                f"{side} {spec.name!r} has shape {list(spec.shape)}: the first dimension is the batch, {ANY}, "
                f"and the others are positive or {ANY}"
            )
        if spec.bounds != "any number" and spec.datatype in _UNBOUNDED:
            raise ValueError(f"{side} {spec.name!r} is {spec.datatype}, which takes no minimum or maximum")
