"""`isthmus status`: what this environment is made of and whether it runs, without starting the engine."""

from __future__ import annotations

import json
from typing import Any

from cli.stack import PROJECT, Stack


def status(stack: Stack, *, as_json: bool) -> int:
    """Print it; 0 when everything recorded runs, 1 when something died or nothing is up."""
    facts = gather(stack)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _show(facts)
    return 0 if facts["processes"] and all(one["alive"] for one in facts["processes"]) else 1


def gather(stack: Stack) -> dict[str, Any]:
    """The facts behind it, as plain values."""
    from infra.providers.local.records import list_records

    platform = stack.platform() or {}
    processes = [
        {"name": r.name, "program": r.program, "pid": r.pid, "alive": r.alive, "started": r.started, "ports": r.ports}
        for r in (list_records(f"{PROJECT}/{stack.name}") if stack.is_local else [])
    ]
    settings = platform.get("settings", {})
    return {
        "environment": stack.name,
        "cloud": settings.get("cloud", ""),
        "emulated": settings.get("emulated", False),
        "endpoints": platform.get("endpoints", {}),
        "resources": len(stack.checkpoint().get("resources", [])),
        "processes": processes,
        "updating": [lock["pid"] for lock in stack.locks()],
    }


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not facts["processes"]:
        console.print(f"{facts['environment']} is not up: run `make up`", highlight=False)
        return
    adapters = facts["cloud"] + (" (emulated)" if facts["emulated"] else "")
    console.print(f"{facts['environment']}, adapters of {adapters}, {facts['resources']} resources", highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "program", "pid", "runs", "ports"):
        table.add_column(heading)
    for one in facts["processes"]:
        ports = ", ".join(f"{name} {number}" for name, number in list(one["ports"].items())[:3])
        table.add_row(one["name"], one["program"], str(one["pid"]), "yes" if one["alive"] else "no: `make up`", ports)
    console.print(table)
    for name, url in facts["endpoints"].items():
        console.print(f"{name:<12} {url}", highlight=False)
