"""Counters and latencies of one process, in the Prometheus text format.

A few dictionaries that only the event loop writes: no lock, no registry, nothing global.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

BUCKETS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Meters:
    """What happened since the process began."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], int] = {}
        self._latency: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._rows: dict[tuple[str, int], int] = {}
        self._model_seconds: dict[tuple[str, int], float] = {}
        self.reloads = 0
        self.reload_failures = 0

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request, by route template: paths that callers make up must not become labels."""
        key = (route, method if method in ("GET", "HEAD", "POST") else "other", status)
        self._answers[key] = self._answers.get(key, 0) + 1
        buckets = self._latency.setdefault(route, [0] * (len(BUCKETS_SECONDS) + 1))
        buckets[bisect.bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def inferred(self, model: str, version: int, rows: int, seconds: float) -> None:
        """One call of a model."""
        key = (model, version)
        self._rows[key] = self._rows.get(key, 0) + rows
        self._model_seconds[key] = self._model_seconds.get(key, 0.0) + seconds

    def exposition(self, *, ready: bool, in_flight: int, loaded: Iterable[tuple[str, int]]) -> str:
        """All of it as text, with the state of this moment."""
        lines: list[str] = []
        _family(lines, "isthmus_requests_total", "counter", "Requests answered.")
        for (route, method, status), count in sorted(self._answers.items()):
            lines.append(f'isthmus_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}')
        _family(lines, "isthmus_request_seconds", "histogram", "Time from the request's head to its answer.")
        for route, buckets in sorted(self._latency.items()):
            total = 0
            for bound, count in zip((*BUCKETS_SECONDS, "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'isthmus_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'isthmus_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'isthmus_request_seconds_count{{route="{route}"}} {total}')
        _family(lines, "isthmus_rows_total", "counter", "Rows that a model answered.")
        for (model, version), rows in sorted(self._rows.items()):
            lines.append(f'isthmus_rows_total{{model="{model}",version="{version}"}} {rows}')
        _family(lines, "isthmus_model_seconds_total", "counter", "Time inside a model.")
        for (model, version), seconds in sorted(self._model_seconds.items()):
            lines.append(f'isthmus_model_seconds_total{{model="{model}",version="{version}"}} {seconds:.6f}')
        _family(lines, "isthmus_model_loaded", "gauge", "1 for each version that is loaded.")
        lines += [f'isthmus_model_loaded{{model="{model}",version="{version}"}} 1' for model, version in sorted(loaded)]
        for name, kind, text, value in (
            ("isthmus_ready", "gauge", "1 when every model is loaded and requests are welcome.", int(ready)),
            ("isthmus_requests_in_flight", "gauge", "Requests being answered now.", in_flight),
            ("isthmus_reloads_total", "counter", "Versions loaded after the start.", self.reloads),
            ("isthmus_reload_failures_total", "counter", "Looks at the registry that failed.", self.reload_failures),
        ):
            _family(lines, name, kind, text)
            lines.append(f"{name} {value}")
        return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
