"""`GET /`: one plain page for whoever opens the server in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

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


def _section(card: Any, host: str) -> str:
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in card.metrics.items())
    about = f"<h2>{escape(card.model)} <small>version {card.version}</small></h2><p>{escape(card.summary)}. {escape(metrics)}.</p>"
    if "inputs" not in card.example:
        return about
    body = msgspec.json.encode(card.example).decode()
    command = f"curl -H 'content-type: application/json' http://{host}/v1/predict -d '{body}'"
    return about + f"<pre>{escape(command)}</pre>"
