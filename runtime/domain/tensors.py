"""Tensors as the Open Inference Protocol names them: a datatype, a shape, a name, and what values are welcome."""

from __future__ import annotations

import enum
from math import prod

import msgspec
import numpy as np

ANY = -1
"""In a shape: as many as the request brings."""


class Datatype(enum.StrEnum):
    """The protocol's datatypes."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"

    @property
    def numpy(self) -> np.dtype:
        """How an array of it is held: little-endian; BF16 as its 16 raw bits, BYTES as objects of type bytes."""
        return _NUMPY[self]

    @property
    def item_bytes(self) -> int:
        """Bytes of one element; 0 for BYTES, whose elements differ in length."""
        return 0 if self is Datatype.BYTES else self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        """Whether it can hold NaN and infinities."""
        return self in _FLOATS


_NUMPY = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype("<u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.INT8: np.dtype("<i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
    Datatype.BF16: np.dtype("<u2"),
    Datatype.BYTES: np.dtype(object),
}
_FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input or output of a model. `shape` has `ANY` where the request decides; the first dimension is the batch."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    allow_nan: bool = False
    """Whether NaN and infinities are welcome as an input."""
    minimum: float | None = None
    maximum: float | None = None
    """Bounds that an input's numbers must keep, both included; None for no bound. Not for BOOL, BF16 and BYTES."""
    description: str = ""

    @property
    def bounds(self) -> str:
        """For messages: the numbers that are welcome."""
        if self.minimum is None and self.maximum is None:
            return "any number"
        if self.maximum is None:
            return f"{self.minimum:g} and more"
        return f"{self.minimum:g} to {self.maximum:g}" if self.minimum is not None else f"up to {self.maximum:g}"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape may be given: the same rank, and equal wherever the size is fixed."""
        return len(shape) == len(self.shape) and all(
            size >= 1 and want in (ANY, size) for size, want in zip(shape, self.shape, strict=True)
        )

    @property
    def row_elements(self) -> int:
        """Elements of one row, when every dimension but the batch is fixed; else `ANY`."""
        return ANY if ANY in self.shape[1:] else prod(self.shape[1:])


def out_of_bounds(array: np.ndarray, spec: TensorSpec) -> np.ndarray | None:
    """Where numbers lie beyond the bounds, as a mask; None when none does. NaN is beyond no bound."""
    beyond = np.zeros(array.shape, dtype=bool)
    if spec.minimum is not None:
        beyond |= array < spec.minimum
    if spec.maximum is not None:
        beyond |= array > spec.maximum
    return beyond if beyond.any() else None


def all_finite(array: np.ndarray, datatype: Datatype) -> bool:
    """Whether no element is NaN or infinite. Trivially so for datatypes that cannot hold one."""
    if not datatype.is_float:
        return True
    if datatype is Datatype.BF16:
        return not np.any((array & 0x7F80) == 0x7F80)
    return bool(np.isfinite(array).all())
