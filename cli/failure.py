"""How a command ends that could not do its work: one sentence, and an exit code that says whose turn it is."""

from __future__ import annotations

WRONG_INPUT = 2
INTERRUPTED = 130


class Failure(Exception):
    """Shown as one line without a traceback. `code` is the exit code: 2 for input that cannot be right, 1 otherwise."""

    def __init__(self, sentence: str, *, code: int = 1) -> None:
        self.code = code
        super().__init__(sentence)
