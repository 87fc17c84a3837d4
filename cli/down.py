"""`isthmus down`: end what runs. The data stays for the next `up`, unless it is asked to go too."""

from __future__ import annotations

import json
import shutil
import sys

import tools
from cli import engine
from cli.failure import WRONG_INPUT, Failure
from cli.stack import PROJECT, Stack
from cli.turn import turn
from infra.providers.local.records import list_records, reap
from tools.progress import Step


def down(stack: Stack, *, data: bool, confirmed: bool, as_json: bool) -> None:
    """Destroy the stack's resources and end every process that was ever started for it.

    A stack on a cloud must be confirmed. Raises Failure.
    """
    if not stack.is_local and not confirmed:
        raise Failure(f"this destroys the environment {stack.name!r}: add --yes to go on", code=WRONG_INPUT)
    out = sys.stderr if as_json else sys.stdout
    with turn(f"isthmus down {stack.name}", say=lambda words: Step("wait", out).say(words)):
        step = Step("down", out)
        removed = _destroy(stack, step)
        ended = [one.record for one in reap(f"{PROJECT}/{stack.name}")] if stack.is_local else []
        for record in ended:
            step.say(f"ended {record.name} (process {record.pid}), which an interrupted update had left")
        if data and stack.is_local:
            _forget(stack)
        left = [record.name for record in list_records(f"{PROJECT}/{stack.name}")] if stack.is_local else []
        if left:
            raise Failure(f"still there: {', '.join(left)}; run `make down` again")
    kept = "" if data or not stack.is_local else "; data kept for the next `make up` (`isthmus down --data` removes it)"
    step.say(f"{removed} resources removed, nothing runs{kept}, {step.seconds:.1f} s")
    if as_json:
        print(json.dumps({"environment": stack.name, "removed": removed, "ended": [one.name for one in ended]}))


def _destroy(stack: Stack, step: Step) -> int:
    if stack.is_local and not stack.checkpoint() and not stack.locks():
        return 0
    for sentence in engine.settle(stack):
        step.say(sentence)
    step.doing("stopping")
    result = engine.run(
        stack, "destroy", "--yes", "--skip-preview", on_resource=lambda _, __, name: step.doing(f"{name} is gone")
    )
    shutil.rmtree(stack.outputs_folder, ignore_errors=True)
    return result.changes.get("delete", 0)


def _forget(stack: Stack) -> None:
    shutil.rmtree(tools.home() / "run" / PROJECT / stack.name, ignore_errors=True)
    (tools.home() / "state" / ".pulumi" / "stacks" / PROJECT / f"{stack.name}.json").unlink(missing_ok=True)
