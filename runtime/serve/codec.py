"""Tensors as bytes: JSON lists and the binary form, to arrays and back. Every mismatch is a Problem that names the tensor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import msgspec
import numpy as np

from runtime.domain.problems import Kind, Problem
from runtime.domain.tensors import Datatype, TensorSpec, all_finite, out_of_bounds

_LENGTH_BYTES = 4
"""Before each element of a binary BYTES tensor: its length, unsigned, little-endian."""

_ELEMENTS: dict[Datatype, type] = {Datatype.BOOL: bool, Datatype.BYTES: str}


def from_json(raw: bytes | msgspec.Raw, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """The array behind JSON `raw`: one flat list in row-major order, or lists nested as `shape` says."""
    depth = _depth(bytes(memoryview(raw)[:64]))
    if depth not in (1, len(shape)):
        raise _wrong(
            f"input {spec.name!r}: its data must be one flat list, or lists nested {len(shape)} deep as its shape "
            f"{list(shape)} says; these are nested {depth} deep"
        )
    values = _decode(raw, spec, depth)
    array = _as_array(values, spec)
    if array.size != prod(shape) or (depth > 1 and array.shape != shape):
        raise _wrong(
            f"input {spec.name!r}: shape {list(shape)} asks for {prod(shape)} elements"
            + (
                f" and the data holds {array.size}"
                if array.size != prod(shape)
                else f", the data has shape {list(array.shape)}"
            )
        )
    return array.reshape(shape)


def from_rows(raw: bytes | msgspec.Raw, spec: TensorSpec) -> np.ndarray:
    """The array behind JSON rows, `[[...], [...]]`, whose number is the batch."""
    array = _as_array(_decode(raw, spec, len(spec.shape)), spec)
    if not spec.fits(array.shape):
        raise _wrong(
            f"input {spec.name!r} takes rows of shape {list(spec.shape[1:])}, at least one; "
            f"these have shape {list(array.shape)} in all"
        )
    return array


def from_binary(raw: memoryview, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """The array behind little-endian row-major bytes, without a copy (BYTES excepted)."""
    if spec.datatype is Datatype.BYTES:
        return _split_elements(raw, spec, prod(shape)).reshape(shape)
    wanted = prod(shape) * spec.datatype.item_bytes
    if len(raw) != wanted:
        raise Problem(
            Kind.WRONG_BINARY,
            f"input {spec.name!r}: shape {list(shape)} of {spec.datatype} takes {wanted} bytes, binary_data_size says {len(raw)}",
        )
    if spec.datatype is Datatype.BOOL:
        bits = np.frombuffer(raw, dtype=np.uint8)
        if bits.size and bits.max() > 1:
            raise Problem(Kind.WRONG_VALUE, f"input {spec.name!r}: a BOOL is a byte of 0 or 1, not {int(bits.max())}")
        return bits.view(np.bool_).reshape(shape)
    return np.frombuffer(raw, dtype=spec.datatype.numpy).reshape(shape)


def check_values(array: np.ndarray, spec: TensorSpec) -> None:
    """Refuses NaN, infinities and numbers beyond the bounds where the model forbids them, saying where the first one is."""
    if not spec.allow_nan and not all_finite(array, spec.datatype):
        place = next(index for index in np.ndindex(array.shape) if not all_finite(array[index], spec.datatype))
        raise Problem(
            Kind.WRONG_VALUE,
            f"input {spec.name!r} holds NaN, an infinity or a number beyond {spec.datatype} at {list(place)}: "
            f"this model takes {spec.bounds}",
        )
    if (beyond := out_of_bounds(array, spec)) is not None:
        place = tuple(int(index) for index in np.argwhere(beyond)[0])
        raise Problem(
            Kind.WRONG_VALUE,
            f"input {spec.name!r} holds {array[place].item():g} at {list(place)}: this model takes {spec.bounds}",
        )


def to_json_list(array: np.ndarray, spec: TensorSpec) -> list[Any]:
    """Flat, in row-major order, as the protocol has it."""
    if spec.datatype is Datatype.BF16:
        return bf16_to_float(array).ravel().tolist()
    if spec.datatype is Datatype.BYTES:
        try:
            return [_as_bytes(item).decode() for item in array.ravel()]
        except UnicodeDecodeError:
            raise Problem(
                Kind.WRONG_VALUE,
                f"output {spec.name!r} is not text, so JSON cannot hold it: ask for it with binary_data",
            ) from None
    return array.ravel().tolist()


def to_binary(array: np.ndarray, datatype: Datatype) -> bytes:
    """Little-endian, row-major, no padding; BYTES with each element's length before it."""
    if datatype is not Datatype.BYTES:
        return np.ascontiguousarray(array, dtype=datatype.numpy).tobytes()
    items = [_as_bytes(item) for item in array.ravel()]
    return b"".join(len(item).to_bytes(_LENGTH_BYTES, "little") + item for item in items)


def bf16_to_float(bits: np.ndarray) -> np.ndarray:
    """BF16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float_to_bf16(values: np.ndarray) -> np.ndarray:
    """To the nearest BF16, ties to even; NaN stays NaN, what is too large becomes infinite."""
    wide = values.astype(np.float32).view(np.uint32)
    rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


@cache
def _decoder(element: type, depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _decode(raw: bytes | msgspec.Raw, spec: TensorSpec, depth: int) -> list[Any]:
    element = _ELEMENTS.get(spec.datatype, float if spec.datatype.is_float else int)
    try:
        return _decoder(element, depth).decode(raw)
    except msgspec.ValidationError as error:
        raise _wrong(f"input {spec.name!r} of {spec.datatype}: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(
            Kind.MALFORMED_JSON, f"input {spec.name!r}: its data is no JSON list of numbers or strings: {error}"
        ) from None


def _as_array(values: list[Any], spec: TensorSpec) -> np.ndarray:
    try:
        if spec.datatype is Datatype.BYTES:
            texts = np.array(values, dtype=object)
            return np.array([text.encode() for text in texts.ravel()], dtype=object).reshape(texts.shape)
        if spec.datatype is Datatype.BF16:
            return float_to_bf16(np.array(values, dtype=np.float32))
        with np.errstate(over="ignore"):  # becomes an infinity, which check_values looks for
            return np.array(values, dtype=spec.datatype.numpy)
    except OverflowError:
        raise Problem(Kind.WRONG_VALUE, f"input {spec.name!r} holds a number beyond {spec.datatype}") from None
    except (ValueError, AttributeError):
        raise _wrong(f"input {spec.name!r}: its nested lists differ in length") from None


def _split_elements(raw: memoryview, spec: TensorSpec, count: int) -> np.ndarray:
    items: list[bytes] = []
    place = 0
    while place < len(raw):
        begin = place + _LENGTH_BYTES
        place = begin + int.from_bytes(raw[place:begin], "little")
        if begin > len(raw) or place > len(raw):
            raise Problem(
                Kind.WRONG_BINARY, f"input {spec.name!r}: its element {len(items)} is longer than the bytes left"
            )
        items.append(bytes(raw[begin:place]))
    if len(items) != count:
        raise _wrong(f"input {spec.name!r}: its shape asks for {count} elements and its bytes hold {len(items)}")
    array = np.empty(count, dtype=object)
    array[:] = items
    return array


def _depth(start: bytes) -> int:
    """How many lists open before the first element. White space and brackets beyond the first 64 bytes are not looked at."""
    depth = 0
    for byte in start:
        if byte == 0x5B:  # [
            depth += 1
        elif byte not in b" \t\r\n":
            break
    return depth


def _as_bytes(item: Any) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


def _wrong(detail: str) -> Problem:
    return Problem(Kind.WRONG_TENSOR, detail)


def names(specs: Sequence[TensorSpec]) -> str:
    """For messages: the tensors there are."""
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in specs)
