"""How people name a model: `digits`, `digits@champion` or `digits:3`."""

from __future__ import annotations

import re
from dataclasses import dataclass

CHAMPION = "champion"
_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_FORM = re.compile(rf"(?P<model>{_NAME})(?:@(?P<alias>{_NAME})|:(?P<version>[1-9][0-9]{{0,17}}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model and which of its versions: the one a number names, or the one an alias points at."""

    model: str
    version: int | str = CHAMPION

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises ValueError, which quotes the text and shows the three forms."""
        form = _FORM.fullmatch(text.strip())
        if form is None:
            quoted = repr(text[:80])
            raise ValueError(
                f"{quoted} names no model: write NAME, NAME@ALIAS or NAME:VERSION, such as digits@champion"
            )
        return cls(form["model"], int(form["version"]) if form["version"] else form["alias"] or CHAMPION)

    def __str__(self) -> str:
        return f"{self.model}:{self.version}" if isinstance(self.version, int) else f"{self.model}@{self.version}"
