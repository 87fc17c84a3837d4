"""`GET /`: one plain page for whoever opens the server in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from runtime.registry.manifest import Manifest, Samples

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>isthmus</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f4f4f4; color: #111; padding: .75rem; overflow-x: auto; white-space: pre-wrap; word-break: break-all }}</style>
<h1>Models served here</h1>
{models}
<p><a href="/openapi.json">OpenAPI document</a>, <a href="/v1/models">models as JSON</a>,
<a href="/v2/health/ready">readiness</a></p>
</html>
"""


def render(cards: Sequence[Any], host: str) -> str:
    """The page: each version with its metrics and a request to paste. `host` is what the browser called us."""
    return _PAGE.format(models="\n".join(_section(card, host) for card in cards) or "<p>None is loaded yet.</p>")


def curl(manifest: Manifest, samples: Samples) -> str:
    """A command that predicts the first sample, with `{url}` for the server; empty when its data is not public."""
    if not manifest.samples_public or not len(samples):
        return ""
    rows = {name: [_short(column[0])] for name, column in samples.inputs.items()}
    request = {"model": manifest.model, "inputs": next(iter(rows.values())) if len(rows) == 1 else rows}
    body = msgspec.json.encode(request).decode().replace("'", "\\u0027")
    return f"curl -s {{url}}/v1/predict -H 'content-type: application/json' -d '{body}'"


def _short(value: Any) -> Any:
    """Whole numbers without their `.0`."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _section(card: Any, host: str) -> str:
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in card.metrics.items())
    title = f"<h2>{escape(card.model)} <small>version {card.version}</small></h2>"
    about = f"{title}<p>{escape(card.summary)}. {escape(metrics)}.</p>"
    return about + (f"<pre>{escape(card.curl.replace('{url}', f'http://{host}'))}</pre>" if card.curl else "")
