"""Which handler answers a method and a path. The table of routes is also what the OpenAPI document is made from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.domain.problems import Kind, Problem


@dataclass(frozen=True, slots=True)
class Route:
    """One page. `template` holds `{name}` where a path segment is a parameter; `answers` and `takes` are for its document."""

    method: str
    template: str
    handler: Callable[[Any], Awaitable[Any]]
    summary: str
    answers: Any = None
    """The msgspec type of the answer, or a media type when it is no JSON."""
    takes: Any = None
    """The msgspec type of the body, None without one."""
    problems: Sequence[Kind] = ()
    query: Mapping[str, str] | None = None
    """Query parameters and what they mean."""

    @property
    def takes_body(self) -> bool:
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class Match:
    """A route and the values of its path's parameters."""

    route: Route
    params: Mapping[str, str]


class Router:
    """Routes, fixed paths by one dictionary look-up, others by pattern."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Match]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            if "{" not in route.template:
                self._fixed.setdefault(route.template, {})[route.method] = Match(route, {})
                continue
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template))
            same = next((methods for known, methods in self._patterns if known.pattern == pattern.pattern), None)
            if same is None:
                self._patterns.append((pattern, {route.method: route}))
            else:
                same[route.method] = route

    def match(self, method: str, path: str) -> Match:
        """Raises Problem: UNKNOWN_ROUTE for the path, WRONG_METHOD, listing the right ones, for the method."""
        verb = "GET" if method == "HEAD" else method
        if fixed := self._fixed.get(path):
            if match := fixed.get(verb):
                return match
            raise _wrong_method(method, path, fixed)
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(path):
                if route := methods.get(verb):
                    return Match(route, found.groupdict())
                raise _wrong_method(method, path, methods)
        raise Problem(Kind.UNKNOWN_ROUTE, f"there is no {path[:200]}: GET /openapi.json lists the pages")


def _wrong_method(method: str, path: str, methods: Mapping[str, Any]) -> Problem:
    allowed = ", ".join(sorted(methods))
    return Problem(Kind.WRONG_METHOD, f"{method} does not fit {path[:200]}: use {allowed}", headers={"allow": allowed})
