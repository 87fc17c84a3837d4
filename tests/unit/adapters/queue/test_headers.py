"""What travels in headers beside a record."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from adapters.drivers.queue import headers

THREADS, EACH = 8, 20_000


def test_identifiers_can_be_taken_by_several_threads_at_once() -> None:
    """A generator, for one, refuses a second thread that comes in the middle."""
    ids = headers.ids()
    together = threading.Barrier(THREADS)

    def take(_: int) -> list[str]:
        together.wait(10)
        return [next(ids) for _ in range(EACH)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            taken = [*pool.map(take, range(THREADS))]
    finally:
        sys.setswitchinterval(before)
    assert len({each for some in taken for each in some}) == THREADS * EACH
