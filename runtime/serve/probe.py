"""Prove that a server serves: real held-out samples as real requests, one after the other over one connection.

    python -m runtime.serve.probe --url http://127.0.0.1:8080 --model digits --count 100 --json

Prints p50 and p99 in milliseconds as this client saw them, how many failed, and how many labels were right.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from math import ceil
from typing import Any

import msgspec

from adapters.errors import AdapterError, Invalid, NotFound, Transient
from runtime.command import FAILED, OK, Command
from runtime.serve.client import Client

LOOK_AGAIN_SECONDS = 0.1
WARM_UP = 5
"""Requests before the counted ones: the first of a connection pays for the connection."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code, 1 when a request failed."""
    command = Command("runtime.serve.probe", "Prove that a server serves, with real samples.")
    command.add_argument("--url", default="http://127.0.0.1:8080")
    command.add_argument("--model", default="", help="default: the first that is served")
    command.add_argument("--count", type=int, default=100, help="requests to send (default 100)")
    command.add_argument("--wait-seconds", type=float, default=0.0, help="how long to wait until it is ready")
    command.add_argument("--json", action="store_true")
    return command.run(_probe, arguments)


def _probe(options: argparse.Namespace) -> int:
    if options.count < 1:
        raise Invalid(f"--count must be at least 1, not {options.count}")
    with Client(options.url) as client:
        wait_until_ready(client, seconds=options.wait_seconds)
        report = measure(client, options.model, count=options.count)
    if options.json:
        print(msgspec.json.encode(report).decode())
    else:
        print(
            f"{report['model']}:{report['version']} {report['count']} requests, {report['errors']} failed, "
            f"{report['accuracy']:.1%} right, p50 {report['p50_ms']:.2f} ms, p99 {report['p99_ms']:.2f} ms"
        )
    return FAILED if report["errors"] else OK


def wait_until_ready(client: Client, *, seconds: float) -> None:
    """Until every model is loaded. Raises Transient with what the server last said when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.get("/v2/health/ready")
            return
        except Transient as error:
            if time.monotonic() >= deadline:
                raise Transient(f"not ready after {seconds:g} s: {error.what}", name=client.url) from error
        time.sleep(LOOK_AGAIN_SECONDS)


def measure(client: Client, model: str, *, count: int) -> dict[str, Any]:
    """Send `count` requests of one sample each. Raises NotFound when the model is not served or shows no samples."""
    served = {card["model"]: card for card in reversed(client.get("/v1/models")["models"])}
    name = model or next(reversed(served), "")
    if name not in served:
        raise NotFound(
            "no such model is served", name=name or client.url, cure=f"there are {', '.join(sorted(served))}"
        )
    samples = client.get(f"/v1/models/{name}/samples")
    bodies = list(_bodies(name, samples))
    for body in bodies[:WARM_UP]:
        client.send("POST", "/v1/predict", body)
    seconds: list[float] = []
    errors = right = 0
    for number in range(count):
        place = number % len(bodies)
        began = time.perf_counter()
        label = _label(client, bodies[place])
        seconds.append(time.perf_counter() - began)
        errors += label is None
        right += label == samples["labels"][samples["targets"][place]] if samples["labels"] else 0
    seconds.sort()
    return {
        "model": name,
        "version": samples["version"],
        "count": count,
        "errors": errors,
        "accuracy": right / count,
        "p50_ms": quantile(seconds, 0.50) * 1e3,
        "p99_ms": quantile(seconds, 0.99) * 1e3,
        "curl": served[name]["curl"].replace("{url}", client.url),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of values in ascending order."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _bodies(name: str, samples: dict[str, Any]) -> list[bytes]:
    columns = samples["inputs"]
    rows = [{column: [values[row]] for column, values in columns.items()} for row in range(len(samples["targets"]))]
    return [msgspec.json.encode({"model": name, "inputs": row}) for row in rows]


def _label(client: Client, body: bytes) -> str | None:
    """The predicted label, empty for a model without labels; None when the request failed."""
    try:
        return client.post("/v1/predict", body)["predictions"][0].get("label", "")
    except (AdapterError, LookupError):
        return None


if __name__ == "__main__":
    sys.exit(main())
