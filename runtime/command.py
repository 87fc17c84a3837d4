"""What every command of the runtime has in common: one sentence for bad input, and the exit codes 0, 1 and 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, Never

from adapters.errors import AdapterError, Invalid, NotFound

OK, FAILED, MISUSED = 0, 1, 2


class Command(argparse.ArgumentParser):
    """A command line whose every complaint is one sentence on standard error: exit code 2 for what cannot be right."""

    def __init__(self, module: str, description: str, **options: Any) -> None:
        options["prog"] = f"python -m {module}"
        super().__init__(description=description, allow_abbrev=False, **options)

    def error(self, message: str) -> Never:
        print(f"{message} (see --help)", file=sys.stderr)
        raise SystemExit(MISUSED)

    def assignments(self, pairs: Sequence[str]) -> dict[str, str]:
        """`NAME=VALUE` pairs as a mapping; complains of one without a name or an equals sign."""
        split = [pair.partition("=") for pair in pairs]
        for pair, (name, sign, _) in zip(pairs, split, strict=True):
            if not name or not sign:
                self.error(f"--set takes NAME=VALUE, not {pair!r}")
        return {name: value for name, _, value in split}

    def run(self, action: Callable[[argparse.Namespace], int], arguments: Sequence[str] | None) -> int:
        """Parse, act, and turn what went wrong into one sentence and a code: 2 for what cannot be right or is not there.

        An error that no adapter classified is a defect and shows its trace.
        """
        try:
            return action(self.parse_args(arguments))
        except (Invalid, NotFound) as error:
            return _complain(error, MISUSED)
        except AdapterError as error:
            return _complain(error, FAILED)
        except KeyboardInterrupt:
            return _complain("interrupted", 130)


def _complain(reason: object, code: int) -> int:
    print(str(reason), file=sys.stderr)
    return code
