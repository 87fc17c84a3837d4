"""`isthmus logs`: what a process of the local platform printed."""

from __future__ import annotations

from cli.failure import WRONG_INPUT, Failure
from cli.stack import PROJECT, Stack


def logs(stack: Stack, process: str, lines: int) -> None:
    """Print the last `lines` lines. Raises Failure, listing the processes there are, for an unknown one."""
    from infra.providers.local.places import Place
    from infra.providers.local.records import list_records

    records = {record.name: record for record in list_records(f"{PROJECT}/{stack.name}")}
    if process not in records:
        there = ", ".join(sorted(records)) or "none: run `make up`"
        raise Failure(f"no process {process!r} in {stack.name!r}; there is {there}", code=WRONG_INPUT)
    text = Place.of(records[process].id).log.read_text(errors="replace")
    print("\n".join(text.splitlines()[-lines:]))
