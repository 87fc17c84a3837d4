"""Whole numbers that people and callers write as digits."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"0*([0-9]{1,18})")


def whole_number(text: str) -> int | None:
    """What ASCII digits write, below 10^18; None for anything else.

    `int` alone is no test: it takes signs, spaces and other scripts' digits, and raises ValueError past 4,300 of them.
    """
    found = _DIGITS.fullmatch(text)
    return int(found[1]) if found else None
