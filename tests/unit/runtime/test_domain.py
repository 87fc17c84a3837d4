"""The words that every context shares refuse what makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.domain.problems import Kind
from runtime.domain.reference import Reference
from runtime.domain.signature import Signature, classifier
from runtime.domain.tensors import ANY, Datatype, TensorSpec, all_finite, out_of_bounds

ROW = TensorSpec(name="row", datatype=Datatype.FP32, shape=(ANY, 2))


@pytest.mark.parametrize(
    ("text", "model", "version"),
    [("digits", "digits", "champion"), ("digits@staging", "digits", "staging"), ("a.b-c_d:12", "a.b-c_d", 12)],
)
def test_a_reference_names_a_model_and_a_version_or_alias(text: str, model: str, version: int | str) -> None:
    reference = Reference.parse(text)
    assert (reference.model, reference.version) == (model, version)
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "a:", "a:0", "a:-1", "a:x", "A", "../b", "a/b", "a b", "a:1:2", "a@b@c", "-a"]
)
def test_a_text_that_is_no_reference_is_refused_with_the_three_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME, NAME@ALIAS or NAME:VERSION") as raised:
        Reference.parse(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "complaint"),
    [
        ((), (ROW,), {}, "at least one input"),
        ((ROW,), (), {}, "at least one output"),
        ((ROW, ROW), (ROW,), {}, "row stands twice"),
        ((TensorSpec(name="a", datatype=Datatype.FP32, shape=()),), (ROW,), {}, "first dimension is the batch"),
        ((TensorSpec(name="a", datatype=Datatype.FP32, shape=(3, 2)),), (ROW,), {}, "first dimension is the batch"),
        ((TensorSpec(name="a", datatype=Datatype.FP32, shape=(ANY, 0)),), (ROW,), {}, "the others are positive"),
        ((TensorSpec(name="a", datatype=Datatype.BYTES, shape=(ANY,), minimum=0),), (ROW,), {}, "no minimum or maximum"),
        ((ROW,), (ROW,), {"labels": ("a", "b")}, "names both its labels and the output"),
        ((ROW,), (ROW,), {"labels": ("a", "b", "c"), "scores": "row"}, r"must be \[-1, 3\]"),
    ],
)  # fmt: skip
def test_a_signature_that_no_request_could_satisfy_is_refused(inputs, outputs, options, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Signature(inputs=inputs, outputs=outputs, **options)


def test_a_classifier_gives_probabilities_and_the_likeliest_class() -> None:
    signature = classifier(ROW, labels=("no", "yes"))
    assert [(spec.name, spec.shape) for spec in signature.outputs] == [("probabilities", (ANY, 2)), ("class", (ANY,))]


@pytest.mark.parametrize("shape", [(1, 2), (9, 2)])
def test_a_shape_fits_when_only_the_free_dimensions_differ(shape: tuple[int, ...]) -> None:
    assert ROW.fits(shape)


@pytest.mark.parametrize("shape", [(), (2,), (0, 2), (-1, 2), (1, 3), (1, 2, 1)])
def test_another_shape_does_not_fit(shape: tuple[int, ...]) -> None:
    assert not ROW.fits(shape)


@pytest.mark.parametrize("datatype", [Datatype.FP16, Datatype.FP32, Datatype.FP64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_are_found_in_every_float(datatype: Datatype, bad: float) -> None:
    assert all_finite(np.array([1.0, 2.0], dtype=datatype.numpy), datatype)
    assert not all_finite(np.array([1.0, bad], dtype=datatype.numpy), datatype)


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0x7F81])
def test_nan_and_infinities_are_found_in_the_raw_bits_of_bf16(bits: int) -> None:
    assert all_finite(np.array([0x3F80, 0x7F7F, 0], dtype=np.uint16), Datatype.BF16)
    assert not all_finite(np.array([0x3F80, bits], dtype=np.uint16), Datatype.BF16)


def test_bounds_are_inclusive_and_nan_is_beyond_none() -> None:
    spec = TensorSpec(name="a", datatype=Datatype.FP32, shape=(ANY,), minimum=0, maximum=16, allow_nan=True)
    assert out_of_bounds(np.array([0.0, 16.0, np.nan], dtype=np.float32), spec) is None
    assert out_of_bounds(np.array([0.0, 16.5, -1.0], dtype=np.float32), spec).tolist() == [False, True, True]


def test_every_kind_of_problem_has_a_slug_and_a_title_of_its_own_and_an_error_status() -> None:
    assert len({kind.slug for kind in Kind}) == len({kind.title for kind in Kind}) == len(list(Kind))
    assert all(400 <= kind.status < 600 for kind in Kind)
