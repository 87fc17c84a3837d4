"""What a group remembers of a partition past its committed offset: the text that goes into the commit's metadata.

A commit is one offset, the watermark: all before it is done. Above it some records are done, some are in a member's
hands for the n-th time, and some wait until a nack's delay is over. A broker keeps up to 4,096 bytes of text with the
offset, so that is where this goes, run-length encoded: a successor delivers only what is open and counts on from there.

    isthmus1:<base64url of: base time, span, length of the runs, runs, exceptions past the span>

What does not fit is left out, never wrong: records that it would have called done come again.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PREFIX = "isthmus1:"
BUDGET_BYTES = 3000
"""Before base64, which makes it 4,000 characters: under the 4,096 bytes that a broker takes unless told otherwise."""

_DONE, _FIRST, _COUNTED, _DELAYED = range(4)
_LONGEST_NUMBER = 10  # bytes of a varint of 64 bits


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier members of the group did with a partition.

    `delivered` is the first offset they never handed out. `open` maps each offset below it that is not done to how often
    it was delivered, ascending; `later` does so for offsets at or above it, whose neighbours are not known. `due` is the
    wall-clock time in seconds before which an offset is not to come.
    """

    delivered: int
    open: Mapping[int, int] = field(default_factory=dict)
    later: Mapping[int, int] = field(default_factory=dict)
    due: Mapping[int, float] = field(default_factory=dict)


def encode(watermark: int, past: Past) -> str:
    """The text for a commit of `watermark`; empty when there is nothing to remember."""
    if watermark == past.delivered and not past.later:
        return ""
    base_ms = max(0, int(min(past.due.values(), default=0.0) * 1000))
    runs = list(_runs(watermark, past.open, past.due, base_ms))
    exceptions = [run for run in _runs(past.delivered, past.later, past.due, base_ms) if run.code >= _COUNTED]
    budget = BUDGET_BYTES - len(_varint(base_ms)) - 2 * _LONGEST_NUMBER
    body, cut = _fit(runs, watermark, past.delivered, budget // 2 if exceptions else budget)
    if cut < past.delivered:
        body, cut = _fit(runs, watermark, past.delivered, budget // 2)
        exceptions = [run for run in runs if run.code >= _COUNTED and run.start >= cut] + exceptions
    raw = _varint(base_ms) + _varint(cut - watermark) + _varint(len(body)) + body
    raw += _fit_exceptions(exceptions, cut, BUDGET_BYTES - len(raw))
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


@functools.lru_cache(maxsize=1024)
def encode_fresh(length: int) -> str:
    """What `encode` gives for `length` neighbouring records, all open and delivered once: what is usual, without a loop."""
    body = _Run(0, length, _FIRST).encode()
    raw = _varint(0) + _varint(length) + _varint(len(body)) + body
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(watermark: int, text: str | None) -> Past:
    """What `encode` wrote; of another writer's text nothing is known but the watermark."""
    if not text or not text.startswith(PREFIX):
        return Past(watermark)
    encoded = text[len(PREFIX) :]
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        return _parse(watermark, raw)
    except (IndexError, ValueError):
        return Past(watermark)


@dataclass(slots=True)
class _Run:
    """`length` neighbouring offsets in the same state."""

    start: int
    length: int
    code: int
    attempts: int = 0
    due_ms: int = 0

    def encode(self) -> bytes:
        raw = _varint(self.length << 2 | self.code)
        if self.code >= _COUNTED:
            raw += _varint(self.attempts)
        if self.code == _DELAYED:
            raw += _varint(self.due_ms)
        return raw


def _runs(watermark: int, open: Mapping[int, int], due: Mapping[int, float], base_ms: int) -> Iterator[_Run]:
    run: _Run | None = None
    cursor = watermark
    for offset, attempts in open.items():
        moment = due.get(offset)
        due_ms = 0 if moment is None else max(0, int(moment * 1000) - base_ms)
        code = _DELAYED if moment is not None else _FIRST if attempts == 1 else _COUNTED
        same = run is not None and (run.code, run.attempts, run.due_ms) == (code, attempts, due_ms)
        if run is not None and same and offset == cursor:
            run.length += 1
        else:
            if run is not None:
                yield run
            if offset > cursor:
                yield _Run(cursor, offset - cursor, _DONE)
            run = _Run(offset, 1, code, attempts, due_ms)
        cursor = offset + 1
    if run is not None:
        yield run


def _fit(runs: list[_Run], watermark: int, delivered: int, budget: int) -> tuple[bytes, int]:
    """As many leading runs as fit, and the offset up to which they tell everything."""
    body = bytearray()
    for run in runs:
        encoded = run.encode()
        if len(body) + len(encoded) > budget:
            return bytes(body), run.start
        body += encoded
    return bytes(body), delivered


def _fit_exceptions(runs: list[_Run], cut: int, budget: int) -> bytes:
    """The runs past the cut whose counts or delays must not be lost, each with its distance from the one before."""
    body = bytearray()
    cursor = cut
    for run in runs:
        encoded = _varint(run.start - cursor) + run.encode()
        if len(body) + len(encoded) > budget:
            break
        body += encoded
        cursor = run.start + run.length
    return bytes(body)


def _parse(watermark: int, raw: bytes) -> Past:
    base_ms, at = _read(raw, 0)
    span, at = _read(raw, at)
    size, at = _read(raw, at)
    if at + size > len(raw):
        raise IndexError("the text was cut off")
    past = Past(watermark + span, {}, {}, {})
    _parse_runs(raw[at : at + size], watermark, past.open, past.due, base_ms, spaced=False)  # type: ignore[arg-type]
    _parse_runs(raw[at + size :], past.delivered, past.later, past.due, base_ms, spaced=True)  # type: ignore[arg-type]
    return past


def _parse_runs(
    raw: bytes, start: int, counts: dict[int, int], due: dict[int, float], base_ms: int, *, spaced: bool
) -> None:
    at, cursor = 0, start
    while at < len(raw):
        if spaced:
            distance, at = _read(raw, at)
            cursor += distance
        packed, at = _read(raw, at)
        length, code = packed >> 2, packed & 3
        offsets = range(cursor, cursor + length)
        cursor += length
        if code == _DONE:
            continue
        attempts = 1
        if code != _FIRST:
            attempts, at = _read(raw, at)
        counts.update(dict.fromkeys(offsets, attempts))
        if code == _DELAYED:
            delay_ms, at = _read(raw, at)
            due.update(dict.fromkeys(offsets, (base_ms + delay_ms) / 1000))


def _varint(number: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first."""
    raw = bytearray()
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    raw.append(number)
    return bytes(raw)


def _read(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
