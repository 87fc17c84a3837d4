"""Is this machine ready: `python3 -m tools.check [--json]`; one line a part, status 1 if a needed one is missing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import catalogue, folders, programs, steps
from tools.failure import ToolMissing
from tools.progress import megabytes

PERMISSIVE = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "PSF-2.0"}
MEMORY_NEEDED_MB = 4000
MEMORY_COMFORTABLE_MB = 8000
PORTS_NEEDED = 16
PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
TESTED = ("Linux", "x86_64")


@dataclass(frozen=True)
class Finding:
    """What is known of one part. `ok` is False only where something needed is missing; `advice` says what to do."""

    part: str
    ok: bool
    found: str
    source: str = ""
    licence: str = ""
    advice: str = ""


def check() -> list[Finding]:
    """Look at the machine and at every tool; runs no program and changes nothing but a file it removes again."""
    return [*_machine(), *(_tool(tool) for tool in catalogue.TOOLS.values())]


def _machine() -> Iterator[Finding]:
    yield _python()
    yield _platform()
    yield _memory()
    yield _cache()
    yield from _disks()
    yield _ports()


def _python() -> Finding:
    found = f"Python {platform.python_version()}"
    if sys.version_info < catalogue.PYTHON_AT_LEAST:
        return Finding("python", False, found, advice="install Python 3.11 or newer")
    return Finding("python", True, found)


def _platform() -> Finding:
    here = (platform.system(), platform.machine())
    found = f"{here[0]} {here[1]}"
    if here not in PLATFORMS:
        known = ", ".join(f"{system} {machine}" for system, machine in sorted(PLATFORMS))
        return Finding("platform", False, found, advice=f"the servers come as programs for {known}")
    return Finding("platform", True, found, advice="" if here == TESTED else "supported, but not yet run here by us")


def _memory() -> Finding:
    try:
        total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    except (ValueError, OSError):
        return Finding("memory", True, "this system does not say how much")
    found = megabytes(total_mb * 1e6)
    if total_mb < MEMORY_NEEDED_MB:
        return Finding("memory", False, found, advice=f"the local platform needs {megabytes(MEMORY_NEEDED_MB * 1e6)}")
    tight = total_mb < MEMORY_COMFORTABLE_MB
    return Finding("memory", True, found, advice="enough for the platform, little beside it" if tight else "")


def _cache() -> Finding:
    place = folders.cache()
    probe = place / f".writable-{os.getpid()}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        advice = "make it writable, or set ISTHMUS_CACHE to a folder that is"
        return Finding("cache", False, f"{place}: {error.strerror}", advice=advice)
    return Finding("cache", True, f"{place} is writable")


def _disks() -> Iterator[Finding]:
    """What is free where the environments and the tools go, against what is still to be installed there."""
    missing = {name for name in steps.FOR_UP if steps.PARTS[name].ready() is None}
    kinds = {"checkout": missing & set(steps.ENVIRONMENTS), "cache": missing - set(steps.ENVIRONMENTS)}
    for kind, place in (("checkout", folders.checkout()), ("cache", folders.cache())):
        needed_mb = sum(catalogue.NEEDED_MB[name] for name in kinds[kind])
        free = shutil.disk_usage(_existing(place)).free
        found = f"{megabytes(free)} free for the {kind}"
        if free < needed_mb * 1e6:
            advice = f"what is still to be installed needs {megabytes(needed_mb * 1e6)}: make room"
            yield Finding("disk", False, found, advice=advice)
        else:
            yield Finding("disk", True, found)


def _existing(place: Path) -> Path:
    return place if place.exists() else _existing(place.parent)


def _ports() -> Finding:
    with ExitStack() as held:
        for free in range(PORTS_NEEDED):
            try:
                held.enter_context(socket.create_server(("127.0.0.1", 0)))
            except OSError as error:
                found = f"{free} free on 127.0.0.1: {error.strerror}"
                return Finding("ports", False, found, advice=f"{PORTS_NEEDED} are needed: end what holds them")
    return Finding("ports", True, "free ones on 127.0.0.1")


def _tool(tool: catalogue.Tool) -> Finding:
    try:
        program = programs.locate(tool.name)
    except ToolMissing as missing:
        # What only tests need is looked for, too, but a machine without it is ready for the platform.
        needed = not tool.step or tool.step in steps.FOR_UP
        advice = str(missing).split(": ", 1)[1]
        return Finding(tool.name, not needed, "not installed", licence=tool.licence, advice=advice)
    if tool.step and steps.PARTS[tool.step].ready() is None:
        advice = f"not as its lock says: run `python3 tools/bootstrap.py {tool.step}`"
        return Finding(tool.name, False, program.version, program.source, program.licence, advice)
    found = f"{program.version} (Valkey)" if programs.is_valkey(program.argv[0]) else program.version
    return Finding(tool.name, True, found, program.source, program.licence, licence_note(program.licence))


def licence_note(licence: str) -> str:
    """A warning where a licence is not a permissive one, else nothing."""
    if licence in PERMISSIVE:
        return ""
    if "Classpath-exception" in licence:
        return "copyleft, with an exception for the programs that run on it"
    return "this licence is not a permissive one: install an older or another one if that matters to you"


def report(findings: list[Finding]) -> str:
    """The findings as people read them, one line each."""
    rows = [
        ("ok" if one.ok else "MISSING", one.part, one.found, one.source, one.licence, one.advice) for one in findings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    )


def main(arguments: list[str]) -> int:
    """Print the findings; returns 1 if a needed part is missing."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.check", description="Is this machine ready?")
    parser.add_argument("--json", action="store_true", help="print a list of objects for a program to read")
    chosen = parser.parse_args(arguments)
    findings = check()
    print(json.dumps([asdict(one) for one in findings], indent=1) if chosen.json else report(findings))
    return 0 if all(one.ok for one in findings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
