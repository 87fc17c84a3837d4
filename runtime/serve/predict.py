"""Ask a running server.

    python -m runtime.serve.predict digits --sample 3
    python -m runtime.serve.predict tumor --file rows.json
    echo '[[0, 0, 5, 13, ...]]' | python -m runtime.serve.predict digits --file -

A file holds rows, `[[...], ...]`, or a whole request with `inputs`. Prints one line a row: label, score, milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.errors import Invalid, NotFound
from runtime.command import OK, Command
from runtime.serve.client import Client


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("runtime.serve.predict", "Ask a running server.")
    command.add_argument("model", help="NAME, NAME@ALIAS or NAME:VERSION")
    command.add_argument("--sample", type=int, help="send this held-out sample, counted from 0")
    command.add_argument("--file", help="a JSON file of rows, or - for standard input")
    command.add_argument("--url", default="http://127.0.0.1:8080")
    command.add_argument("--json", action="store_true", help="the server's answer, with `ms`")
    return command.run(lambda options: _predict(command, options), arguments)


def _predict(command: Command, options: argparse.Namespace) -> int:
    if (options.sample is None) == (options.file is None):
        command.error("give either --sample N or --file PATH")
    with Client(options.url) as client:
        inputs, truth = _sample(client, options) if options.file is None else (_from_file(options.file), None)
        body = msgspec.json.encode({"model": options.model, "inputs": inputs})
        began = time.perf_counter()
        answer = client.post("/v1/predict", body)
        milliseconds = (time.perf_counter() - began) * 1e3
    if options.json:
        extra = {"ms": round(milliseconds, 3)} | ({} if truth is None else {"truth": truth})
        print(msgspec.json.encode(answer | extra).decode())
        return OK
    for prediction in answer["predictions"]:
        said = f"{prediction['label']}  score {prediction['score']:.4f}" if "label" in prediction else str(prediction)
        print(f"{said}  {milliseconds:.2f} ms" + ("" if truth is None else f"  (truly {truth})"))
    return OK


def _sample(client: Client, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    name = options.model.partition("@")[0].partition(":")[0]
    samples = client.get(f"/v1/models/{name}/samples")
    targets, labels = samples["targets"], samples["labels"]
    if not 0 <= options.sample < len(targets):
        raise NotFound(
            f"{name} has no sample {options.sample}", name="--sample", cure=f"it has 0 to {len(targets) - 1}"
        )
    target = targets[options.sample]
    rows = {column: [values[options.sample]] for column, values in samples["inputs"].items()}
    return rows, labels[target] if labels else str(target)


def _from_file(place: str) -> Any:
    try:
        text = sys.stdin.buffer.read() if place == "-" else Path(place).read_bytes()
    except OSError as error:
        raise NotFound(f"cannot be read: {error.strerror}", name=place) from error
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Invalid(f"is no JSON: {error}", name=place, cure="write rows as [[...], ...]") from error
    return document["inputs"] if isinstance(document, dict) and "inputs" in document else document


if __name__ == "__main__":
    sys.exit(main())
