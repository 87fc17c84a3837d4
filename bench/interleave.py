"""Measuring fairly on a machine that is not quiet: candidates take turns, and each ratio is of one turn.

The order within a turn alternates (A B, B A, ...), so that drift favours nobody. Wall time is what a caller waits; CPU time
is what all threads of this process spend, which is what an adapter can waste.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

COLLECT_EVERY = 20  # turns


@dataclass
class Sample:
    """Seconds per call, one entry a turn."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def take_turns(candidates: Mapping[str, Callable[[], object]], *, turns: int, calls: int = 1) -> dict[str, Sample]:
    """Each candidate in every turn makes `calls` calls; a tenth as many turns go before and are not counted.

    Turns are best short: a slow moment of the machine then falls on neighbours alike or spoils one turn of many. Garbage is
    collected between turns, never in one that happens to allocate the last object.
    """
    samples = {name: Sample() for name in candidates}
    gc.disable()
    try:
        for number in range(-max(1, turns // 10), turns):
            if number % COLLECT_EVERY == 0:
                gc.collect()
            for name in list(candidates)[:: 1 if number % 2 else -1]:
                call = candidates[name]
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(calls):
                    call()
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                if number >= 0:
                    samples[name].wall.append(wall / calls)
                    samples[name].cpu.append(cpu / calls)
    finally:
        gc.enable()
    return samples


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Ours over theirs, turn by turn: the median and the ends of its 95 % interval. Below 1 we are quicker.

    The interval is read off the ordered ratios (as many on each side as the binomial distribution allows), so it assumes
    nothing about their shape; of fewer than 8 turns it is all of them.
    """
    each = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    outside = max(0, math.floor((len(each) - 1.96 * math.sqrt(len(each))) / 2) - 1)
    return statistics.median(each), each[outside], each[-1 - outside]


def apart(port: int) -> str:
    """Give whoever listens on `port` one core and this process another, where there are two; what was done, in words."""
    cores, pids = _cores(), _listeners(port)
    if len(cores) < 2 or not pids:
        return "client and server share the cores"
    _pin(pids, {cores[0]})
    os.sched_setaffinity(0, {cores[1]})
    return f"server on core {cores[0]}, client on core {cores[1]}"


def together(port: int) -> None:
    """Undo `apart`: both may use every core."""
    if cores := _cores():
        _pin([*_listeners(port), os.getpid()], set(cores))


def _cores() -> list[int]:
    return [*range(os.cpu_count() or 1)] if hasattr(os, "sched_setaffinity") else []


def _listeners(port: int) -> list[int]:
    return [
        at.pid
        for at in psutil.net_connections("tcp")
        if at.status == "LISTEN" and at.laddr and at.laddr[1] == port and at.pid
    ]


def _pin(pids: list[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def load() -> str:
    """The machine's load average over one minute, to be printed with every figure."""
    return f"{os.getloadavg()[0]:.2f}"
