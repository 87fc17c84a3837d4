"""Tensors survive the way to bytes and back, and whatever does not match is refused by name."""

from __future__ import annotations

import random
from math import prod

import msgspec
import numpy as np
import pytest

from runtime.domain.problems import Kind, Problem
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.serve import codec

SEED = 20261123


def spec_of(datatype: Datatype, rank: int = 2, **options: object) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=(ANY,) * rank, **options)  # type: ignore[arg-type]


def random_array(datatype: Datatype, shape: tuple[int, ...], rng: random.Random) -> np.ndarray:
    count = prod(shape)
    if datatype is Datatype.BYTES:
        words = [bytes(rng.choices(b"abc \xc3\xa9"[:4], k=rng.randrange(5))) for _ in range(count)]
        array = np.empty(count, dtype=object)
        array[:] = words
    elif datatype is Datatype.BOOL:
        array = np.array([rng.random() < 0.5 for _ in range(count)])
    elif datatype is Datatype.BF16:
        array = codec.float_to_bf16(np.array([rng.uniform(-9, 9) for _ in range(count)], dtype=np.float32))
    elif datatype.is_float:
        array = np.array([rng.uniform(-9, 9) for _ in range(count)], dtype=datatype.numpy)
    else:
        limits = np.iinfo(datatype.numpy)
        array = np.array([rng.randint(int(limits.min), int(limits.max)) for _ in range(count)], dtype=datatype.numpy)
    return array.reshape(shape)


@pytest.mark.parametrize("datatype", list(Datatype))
def test_every_datatype_survives_both_ways_bit_for_bit(datatype: Datatype) -> None:
    rng = random.Random(f"{SEED}{datatype}")
    print(f"seed {SEED}")
    for _ in range(20):
        shape = tuple(rng.randint(1, 4) for _ in range(rng.randint(1, 4)))
        spec, array = spec_of(datatype, len(shape)), random_array(datatype, shape, rng)
        flat = msgspec.json.encode(codec.to_json_list(array, spec))
        nested = msgspec.json.encode(np.array(msgspec.json.decode(flat), dtype=object).reshape(shape).tolist())
        binary = codec.to_binary(array, datatype)
        for back in (
            codec.from_json(flat, spec, shape),
            codec.from_json(nested, spec, shape),
            codec.from_binary(memoryview(binary), spec, shape),
        ):
            assert back.dtype == array.dtype
            assert back.shape == shape
            assert (back == array).all()


@pytest.mark.parametrize("datatype", [kind for kind in Datatype if kind is not Datatype.BYTES])
def test_binary_form_is_little_endian_without_padding(datatype: Datatype) -> None:
    array = random_array(datatype, (2, 3), random.Random(SEED))
    binary = codec.to_binary(array, datatype)
    assert len(binary) == 6 * datatype.item_bytes
    if datatype.item_bytes > 1:
        last = np.frombuffer(binary[-datatype.item_bytes :][::-1], dtype=datatype.numpy.newbyteorder(">"))
        assert last[0] == array[1, 2]


def test_binary_bytes_carry_their_length_before_each_element() -> None:
    assert codec.to_binary(np.array([b"ab", b""], dtype=object), Datatype.BYTES) == b"\2\0\0\0ab\0\0\0\0"


@pytest.mark.parametrize(
    ("value", "bits"),
    [(1.0, 0x3F80), (-2.0, 0xC000), (np.inf, 0x7F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (3.4e38, 0x7F80)]
)  # fmt: skip
def test_bf16_is_rounded_to_nearest_even(value: float, bits: int) -> None:
    assert codec.float_to_bf16(np.array([value], dtype=np.float32))[0] == bits


def test_bf16_keeps_nan_a_nan() -> None:
    assert np.isnan(codec.bf16_to_float(codec.float_to_bf16(np.array([np.nan], dtype=np.float32)))[0])


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "kind", "words"),
    [
        ("FP32", (1, 2), b"[1]", Kind.WRONG_TENSOR, "asks for 2 elements and the data holds 1"),
        ("FP32", (1, 2), b"[[1, 2], [3, 4]]", Kind.WRONG_TENSOR, "asks for 2 elements and the data holds 4"),
        ("FP32", (2, 1), b"[[1, 2]]", Kind.WRONG_TENSOR, r"the data has shape \[1, 2\]"),
        ("FP32", (2, 2), b"[[1, 2], [3]]", Kind.WRONG_TENSOR, "differ in length"),
        ("FP32", (1, 2), b"[[[1, 2]]]", Kind.WRONG_TENSOR, "nested 3 deep"),
        ("FP32", (1, 2), b"[" * 60 + b"]" * 60, Kind.WRONG_TENSOR, "nested 60 deep"),
        ("FP32", (1, 2), b"7", Kind.WRONG_TENSOR, "nested 0 deep"),
        ("FP32", (1, 2), b'["a", 2]', Kind.WRONG_TENSOR, "Expected `float`, got `str`"),
        ("FP32", (1, 2), b"[null, 2]", Kind.WRONG_TENSOR, "got `null`"),
        ("FP32", (1, 2), b"[true, 2]", Kind.WRONG_TENSOR, "got `bool`"),
        ("FP32", (1, 2), b"[NaN, 2]", Kind.MALFORMED_JSON, "no JSON list"),
        ("FP32", (1, 2), b"[1, 2", Kind.MALFORMED_JSON, "no JSON list"),
        ("INT32", (1, 1), b"[1.5]", Kind.WRONG_TENSOR, "Expected `int`, got `float`"),
        ("UINT8", (1, 1), b"[256]", Kind.WRONG_VALUE, "beyond UINT8"),
        ("UINT8", (1, 1), b"[-1]", Kind.WRONG_VALUE, "beyond UINT8"),
        ("INT64", (1, 1), b"[9223372036854775808]", Kind.WRONG_VALUE, "beyond INT64"),
        ("BOOL", (1, 1), b"[1]", Kind.WRONG_TENSOR, "Expected `bool`"),
        ("BYTES", (1, 1), b"[1]", Kind.WRONG_TENSOR, "Expected `str`"),
        ("BYTES", (2, 2), b'[["a", "b"], ["c"]]', Kind.WRONG_TENSOR, "differ in length"),
    ],
)
def test_json_that_does_not_match_is_refused_by_the_tensors_name(datatype, shape, data, kind: Kind, words: str) -> None:
    with pytest.raises(Problem, match=words) as raised:
        codec.from_json(data, spec_of(Datatype(datatype)), shape)
    assert raised.value.kind is kind
    assert "'x'" in raised.value.detail


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "words"),
    [
        ("FP32", (1, 2), b"\0" * 7, "takes 8 bytes, binary_data_size says 7"),
        ("FP32", (1, 2), b"", "takes 8 bytes"),
        ("BOOL", (1, 2), b"\0\2", "0 or 1, not 2"),
        ("BYTES", (1, 1), b"\5\0\0\0ab", "longer than the bytes left"),
        ("BYTES", (1, 1), b"\5\0", "longer than the bytes left"),
        ("BYTES", (1, 1), b"\xff\xff\xff\xff", "longer than the bytes left"),
        ("BYTES", (1, 2), b"\1\0\0\0a", "asks for 2 elements and its bytes hold 1"),
        ("BYTES", (1, 1), b"\0\0\0\0" * 9, "asks for 1 elements and its bytes hold 9"),
    ],
)
def test_bytes_that_do_not_match_are_refused(datatype: str, shape: tuple[int, ...], raw: bytes, words: str) -> None:
    with pytest.raises(Problem, match=words):
        codec.from_binary(memoryview(raw), spec_of(Datatype(datatype)), shape)


def test_a_huge_shape_is_refused_by_its_count_without_being_allocated() -> None:
    with pytest.raises(Problem, match="asks for 4000000000000000000 elements"):
        codec.from_json(b"[1]", spec_of(Datatype.FP64), (2_000_000_000, 2_000_000_000))


@pytest.mark.parametrize("data", [b"[[1e999, 2]]", b"[[1e39, 2]]", b"[[-1e300, 2]]"])
def test_a_number_beyond_the_datatype_never_becomes_an_infinity(data: bytes) -> None:
    spec = spec_of(Datatype.FP32)
    with pytest.raises(Problem):
        codec.check_values(codec.from_rows(data, spec), spec)


def test_nan_passes_where_the_model_allows_it() -> None:
    spec = spec_of(Datatype.FP32, allow_nan=True)
    codec.check_values(np.array([[np.nan, np.inf]], dtype=np.float32), spec)


def test_the_place_of_a_number_beyond_the_bounds_is_told() -> None:
    spec = spec_of(Datatype.FP32, minimum=0, maximum=16)
    with pytest.raises(Problem, match=r"holds 17 at \[1, 0\]: this model takes 0 to 16"):
        codec.check_values(np.array([[0, 16], [17, 1]], dtype=np.float32), spec)


def test_the_place_of_a_nan_is_told() -> None:
    spec = spec_of(Datatype.FP32)
    with pytest.raises(Problem, match=r"at \[1, 1\]"):
        codec.check_values(np.array([[0, 1], [2, np.nan]], dtype=np.float32), spec)


def test_an_output_of_bytes_that_are_no_text_asks_for_the_binary_form() -> None:
    with pytest.raises(Problem, match="binary_data"):
        codec.to_json_list(np.array([b"\xff"], dtype=object), spec_of(Datatype.BYTES, 1))
