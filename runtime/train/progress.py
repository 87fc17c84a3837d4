"""How a training tells what it does: a bar on a terminal, lines in a pipe, one JSON object a line with `--json`."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import msgspec

from runtime.train.fit import Epoch


class Progress(Protocol):
    """What a training tells, in this order. `close` is called however it ends."""

    def begin(self, model: str, **facts: Any) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def event(self, event: str, sentence: str, **facts: Any) -> None:
        """`sentence` is for people, and empty where they need none; `facts` are for programs."""
        ...

    def close(self) -> None: ...


def progress(*, as_json: bool) -> Progress:
    """The one that suits standard output."""
    if as_json:
        return JsonLines()
    return Bar() if sys.stdout.isatty() else Lines()


class JsonLines:
    """Every fact, for programs."""

    def begin(self, model: str, **facts: Any) -> None:
        self._write({"event": "begin", "model": model, **facts})

    def epoch(self, epoch: Epoch) -> None:
        self._write(
            {"event": "epoch", "epoch": epoch.number, "of": epoch.of, "loss": epoch.loss, "seconds": epoch.seconds}
        )

    def event(self, event: str, sentence: str, **facts: Any) -> None:
        self._write({"event": event, **facts})

    def close(self) -> None:
        pass

    def _write(self, line: dict[str, Any]) -> None:
        print(msgspec.json.encode(line).decode(), flush=True)


class Lines:
    """One line an event, for logs."""

    def begin(self, model: str, **facts: Any) -> None:
        print(f"{model}: {_listed(facts)}", flush=True)

    def epoch(self, epoch: Epoch) -> None:
        print(f"epoch {epoch.number}/{epoch.of} loss {epoch.loss:.4f} {epoch.seconds:.2f} s", flush=True)

    def event(self, event: str, sentence: str, **facts: Any) -> None:
        if sentence:
            print(sentence, flush=True)

    def close(self) -> None:
        pass


class Bar:
    """One bar that moves, for people; sentences stay above it."""

    def __init__(self) -> None:
        from rich import progress as rich

        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("loss {task.fields[loss]}"),
            rich.TimeRemainingColumn(),
        )
        self._task: rich.TaskID | None = None

    def begin(self, model: str, **facts: Any) -> None:
        self._bar.start()
        self._task = self._bar.add_task(f"training {model}", total=facts.get("epochs"), loss="-")

    def epoch(self, epoch: Epoch) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=epoch.number, total=epoch.of, loss=f"{epoch.loss:.4f}")

    def event(self, event: str, sentence: str, **facts: Any) -> None:
        if sentence:
            self._bar.print(sentence, highlight=False, markup=False)

    def close(self) -> None:
        self._bar.stop()


def _listed(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
