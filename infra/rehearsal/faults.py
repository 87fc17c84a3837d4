"""What a rehearsal does wrong when it is told to: once, at the k-th change, so that interrupted updates can be tried.

ISTHMUS_REHEARSAL_FAULT=fail@7    the seventh create, update or delete is refused, nothing done
                        lost@7    it is done, and the answer never comes
                        die@7     the plugin ends in the middle of it, before anything is done
                        hang@7    it waits until the engine cancels
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Literal, get_args

from infra.providers.base import Call, Cancelled, ProviderError

Kind = Literal["fail", "lost", "die", "hang"]
VARIABLE = "ISTHMUS_REHEARSAL_FAULT"
HANG_SECONDS = 600.0
DIED = 70


@dataclass
class Fault:
    """One planned fault. `number` counts changes of this plugin process from 1; 0 is none."""

    kind: Kind = "fail"
    number: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @classmethod
    def planned(cls, text: str) -> Fault:
        """From the variable's text, empty for none. Raises ProviderError for one that cannot be."""
        if not text:
            return cls()
        kind, _, number = text.partition("@")
        if kind not in get_args(Kind) or not number.isdecimal() or not int(number):
            raise ProviderError(
                f"{VARIABLE}={text!r}: expected {', '.join(get_args(Kind))} and a count, such as fail@7"
            )
        return cls(kind, int(number))  # type: ignore[arg-type]

    def before(self, call: Call) -> bool:
        """To be called before each change. Does what was planned; whether the answer to this one is to be lost."""
        with self._lock:
            self._count += 1
            mine = self._count == self.number
        if not mine:
            return False
        if self.kind == "fail":
            raise ProviderError(f"rehearsal: planned failure of change {self.number}")
        if self.kind == "die":
            os._exit(DIED)
        if self.kind == "hang":
            call.cancelled.wait(HANG_SECONDS)
            raise Cancelled(f"rehearsal: change {self.number} hung until it was cancelled")
        return True

    def lose(self) -> None:
        """End as a plugin does whose machine lost power after the cloud had done what was asked."""
        os._exit(DIED)
