"""How people name a model: `digits`, `digits@champion` or `digits:3`."""

from __future__ import annotations

import re
from dataclasses import dataclass

CHAMPION = "champion"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model and which of its versions: the one a number names, or the one an alias points at."""

    model: str
    version: int | str = CHAMPION

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises ValueError, which quotes the text and shows the three forms."""
        model, mark, rest = text.strip(), "", ""
        for sign in "@:":
            if sign in model:
                model, mark, rest = model.partition(sign)
                break
        good_rest = not mark or (
            _NAME.fullmatch(rest) if mark == "@" else rest.isascii() and rest.isdigit() and int(rest) > 0
        )
        if not _NAME.fullmatch(model) or not good_rest:
            raise ValueError(
                f"{text!r} names no model: write NAME, NAME@ALIAS or NAME:VERSION, such as digits@champion"
            )
        return cls(model, int(rest) if mark == ":" else rest or CHAMPION)

    def __str__(self) -> str:
        return f"{self.model}:{self.version}" if isinstance(self.version, int) else f"{self.model}@{self.version}"
