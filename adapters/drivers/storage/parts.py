"""Cutting a body of unknown size into the parts of an upload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from adapters.errors import Invalid
from adapters.ports import Body

PART_BYTES: Final = 8 << 20
PARTS_OF_ONE_SIZE: Final = 1000


def part_bytes(number: int) -> int:
    """Size of part `number`, from 0. It doubles every 1,000 parts: small bodies need little memory, and the 10,000
    parts that S3 allows come to more than its largest object."""
    return PART_BYTES << (number // PARTS_OF_ONE_SIZE)


def in_parts(chunks: Iterable[Body]) -> Iterator[bytes | bytearray]:
    """The same bytes in parts of `part_bytes`; only the last is smaller. Holds one part; an empty body has none."""
    number, wanted = 0, part_bytes(0)
    part = bytearray()
    for chunk in chunks:
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            raise Invalid(f"chunks are bytes, bytearray or memoryview: got {type(chunk).__name__}")
        if not part and len(chunk) == wanted and isinstance(chunk, bytes):
            yield chunk
            number += 1
            wanted = part_bytes(number)
            continue
        rest = memoryview(chunk).cast("B")
        while rest:
            taken = rest[: wanted - len(part)]
            part += taken
            rest = rest[len(taken) :]
            if len(part) == wanted:
                yield part
                number += 1
                part, wanted = bytearray(), part_bytes(number)
    if part:
        yield part


def one_or_parts(chunks: Iterable[Body]) -> bytes | bytearray | Iterator[bytes | bytearray]:
    """The whole body, where one part holds it, and else all parts, none of which is kept once it was taken."""
    parts = in_parts(chunks)
    ahead = [*islice(parts, 2)]
    if len(ahead) < 2:
        return ahead.pop() if ahead else b""
    return chain(_emptying(ahead), parts)


def _emptying(ahead: list[bytes | bytearray]) -> Iterator[bytes | bytearray]:
    while ahead:
        yield ahead.pop(0)
