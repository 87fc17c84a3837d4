"""What a person sees of a step: one line redrawn in place on a terminal, a sentence every few seconds in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TextIO

_REDRAW_SECONDS = 0.1
_SPEAK_SECONDS = 4.0
_BAR_WIDTH = 24


class Step:
    """One step of getting ready, from its first word to `done`."""

    def __init__(self, name: str, out: TextIO | None = None) -> None:
        self.name = name
        self.logged = False  # whether its log was begun: the first program of a step begins it anew
        self._out = out or sys.stdout
        self._terminal = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._started = self._shown = time.monotonic()
        self._drawn = False

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._started

    def doing(self, what: str, share: float | None = None) -> None:
        """Say what is going on now, and which share of it (0 to 1) is done where that is known; cheap to call often."""
        now = time.monotonic()
        if now - self._shown < (_REDRAW_SECONDS if self._terminal else _SPEAK_SECONDS):
            return
        self._shown = now
        if self._terminal:
            self._draw(f"{_bar(share)} {what}, {clock(self.seconds)}")
        else:
            part = "" if share is None else f" ({min(share, 1):.0%})"
            self._line(f"{what}{part}, {clock(self.seconds)}")

    def say(self, sentence: str) -> None:
        """Say one thing that happened, on a line of its own."""
        self._shown = time.monotonic()
        self._line(sentence)

    def _line(self, text: str) -> None:
        if self._drawn:
            self._out.write("\r\x1b[K")
            self._drawn = False
        self._out.write(f"  {self.name:<9} {text}\n")
        self._out.flush()

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._out.write("\r\x1b[K" + f"  {self.name:<9} {text}"[:width])
        self._out.flush()
        self._drawn = True


def _bar(share: float | None) -> str:
    if share is None:
        return "·" * _BAR_WIDTH
    full = round(min(max(share, 0.0), 1.0) * _BAR_WIDTH)
    return "█" * full + "░" * (_BAR_WIDTH - full)


def clock(seconds: float) -> str:
    """A length of time as people read it: `4 s`, `6 min 40 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def megabytes(size_bytes: float) -> str:
    """A size as people read it, in powers of ten: `12 MB`, `5.7 GB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
