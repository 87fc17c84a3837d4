"""Measuring fairly on a machine that is not quiet: candidates take turns in every round, and ratios are of one round.

The order within a round alternates (A B, B A, ...), so that drift favours nobody. Wall time is what a caller waits; CPU time
is what all threads of this process spend, which is what an adapter can waste.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROUNDS = 7


@dataclass
class Sample:
    """Seconds per call, one entry a round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def take_turns(
    candidates: Mapping[str, Callable[[], object]], *, calls: int, rounds: int = ROUNDS
) -> dict[str, Sample]:
    """Call each candidate `calls` times in each round, after one round that is not counted."""
    samples = {name: Sample() for name in candidates}
    for number in range(rounds + 1):
        names = list(candidates)[:: 1 if number % 2 else -1]
        for name in names:
            call = candidates[name]
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                call()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if number:
                samples[name].wall.append(wall / calls)
                samples[name].cpu.append(cpu / calls)
    return samples


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Ours over theirs, round by round: (median, lowest, highest). Below 1 we are quicker."""
    each = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    return statistics.median(each), each[0], each[-1]


def apart(port: int) -> str:
    """Give whoever listens on `port` one core and this process another, where there are two; what was done, in words."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    pids = [
        at.pid
        for at in psutil.net_connections("tcp")
        if at.status == "LISTEN" and at.laddr and at.laddr[1] == port and at.pid
    ]
    if len(cores) < 2 or not pids:
        return "client and server share the cores"
    for thread in Path(f"/proc/{pids[0]}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[0]})
    os.sched_setaffinity(0, {cores[1]})
    return f"server on core {cores[0]}, client on core {cores[1]}"


def load() -> str:
    """The machine's load average over one minute, to be printed with every figure."""
    return f"{os.getloadavg()[0]:.2f}"
