"""`isthmus plan`: what the next `up` would do."""

from __future__ import annotations

import json
import sys

from cli import engine
from cli.stack import Stack
from cli.turn import turn
from cli.up import wanted
from tools.progress import Step


def plan(stack: Stack, *, as_json: bool) -> None:
    """Print each resource that would change. Raises Failure with exit code 2 for a stack file that is wrong."""
    wanted(stack)
    out = sys.stderr if as_json else sys.stdout
    planned: list[dict[str, str]] = []

    def note(operation: str, kind: str, name: str) -> None:
        planned.append({"operation": operation, "type": kind, "name": name})

    with turn(f"isthmus plan {stack.name}", say=lambda words: Step("wait", out).say(words)):
        for sentence in engine.settle(stack):
            Step("plan", out).say(sentence)
        engine.run(stack, "preview", "--refresh", on_resource=note)
    if as_json:
        print(json.dumps({"environment": stack.name, "changes": planned}, indent=2))
        return
    for one in planned:
        print(f"  {one['operation']:<9} {one['type']:<32} {one['name']}")
    print(f"  {len(planned)} changes" if planned else "  no changes")
