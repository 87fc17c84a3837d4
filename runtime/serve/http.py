"""The edge: ASGI in, ASGI out, and between them every limit that holds for all routes.

ASGI and not granian's RSGI: measured here on a bare POST, RSGI answered 1.2 times as many requests a second, and end to end
less; below 1.3 the standard interface wins, which any server and any test client speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import sys
import time
import traceback
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from runtime.domain.number import whole_number
from runtime.domain.problems import Kind, Problem
from runtime.serve.meters import Meters
from runtime.serve.router import Router

JSON, PROBLEM, TEXT = "application/json", "application/problem+json", "text/plain; charset=utf-8"
MAX_BODY_BYTES = 1_000_000
BODY_TIMEOUT_SECONDS = 10.0
DISCARD_BYTES, DISCARD_SECONDS = 8_000_000, 1.0
"""Of a body that is too large, what is still read and thrown away, and for how long."""
_REFUSES_GZIP = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")
COMPRESS_FROM_BYTES = 1_400
"""Below one network packet, compressing an answer only costs."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Request:
    """One request, its body whole, decompressed and within the limit. Header names are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """Without its parameters; empty when the client sent none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def one_of(self, name: str, default: str) -> str:
        """A query parameter's last value."""
        return dict(parse_qsl(self.query)).get(name, default)


@dataclass(slots=True)
class Response:
    """One answer, whole."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def answer(value: Any, *, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status)


class Edge:
    """An ASGI application over a router: reads bodies within their limits, turns a Problem into its document, counts."""

    def __init__(self, router: Router, meters: Meters, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._router, self._meters, self._limit = router, meters, max_body_bytes
        self.in_flight = 0
        self._reading: set[asyncio.Timeout] = set()

    def hurry(self, seconds: float) -> None:
        """Bodies that are not there within so many seconds will not be waited for: the server is stopping."""
        soon = asyncio.get_running_loop().time() + seconds
        for waiting in self._reading:
            waiting.reschedule(min(soon, waiting.when() or soon))

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_flight += 1
        began = time.perf_counter()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        route = "none"
        try:
            match = self._router.match(request.method, request.path)
            route, request.params = match.route.template, match.params
            if match.route.takes_body:
                request.body = await self._body(request, receive)
            response = await match.route.handler(request)
        except Problem as problem:
            if problem.kind is Kind.BODY_TOO_LARGE:
                await _discard(receive)
            response = _problem(problem, request.path)
        except Exception as error:
            response = _defect(error, request)
        try:
            await _send(request, response, send)
        finally:
            self.in_flight -= 1
            self._meters.answered(route, request.method, response.status, time.perf_counter() - began)

    async def _body(self, request: Request, receive: Receive) -> bytes:
        declared = request.headers.get("content-length", "")
        length = whole_number(declared)
        # More digits than a number here may have are more bytes than any limit.
        if (declared.isascii() and declared.isdigit()) and (length is None or length > self._limit):
            raise self._too_large()
        waiting = asyncio.timeout(BODY_TIMEOUT_SECONDS)
        try:
            async with waiting:
                self._reading.add(waiting)
                body = await self._read(receive)
        except TimeoutError:
            detail = f"the whole body must arrive within {BODY_TIMEOUT_SECONDS:g} s"
            raise Problem(Kind.SLOW_BODY, detail, headers={"connection": "close"}) from None
        finally:
            self._reading.discard(waiting)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        return body if encoding in ("", "identity") else self._inflate(body, encoding)

    async def _read(self, receive: Receive) -> bytes:
        first = await _part(receive)
        if not first.more and len(first.body) <= self._limit:
            return first.body
        whole, more = bytearray(first.body), first.more
        while more and len(whole) <= self._limit:
            part = await _part(receive)
            whole += part.body
            more = part.more
        if len(whole) > self._limit:
            raise self._too_large()
        return bytes(whole)

    def _inflate(self, body: bytes, encoding: str) -> bytes:
        """Never more than one byte past the limit is inflated, whatever the body claims."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise Problem(
                Kind.WRONG_CONTENT_TYPE,
                f"content-encoding {encoding!r} is not understood: use gzip, deflate or none",
                headers={"accept-encoding": "gzip, deflate"},
            )
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            whole = inflater.decompress(body, self._limit + 1)
        except zlib.error:
            raise Problem(Kind.WRONG_ENCODING, f"the body is not {encoding}, as its content-encoding says") from None
        if len(whole) > self._limit:
            raise self._too_large()
        if not inflater.eof:
            raise Problem(Kind.WRONG_ENCODING, f"the {encoding} body ends too early")
        if inflater.unused_data:
            raise Problem(
                Kind.WRONG_ENCODING, f"{len(inflater.unused_data)} bytes follow the end of the {encoding} body"
            )
        return whole

    def _too_large(self) -> Problem:
        return Problem(
            Kind.BODY_TOO_LARGE,
            f"a body may have {self._limit} bytes, decompressed: send fewer rows at once",
            headers={"connection": "close"},
            limit_bytes=self._limit,
        )


async def _discard(receive: Receive) -> None:
    """Read on for a moment: a client that is still sending would see a broken connection and never the answer."""
    left = DISCARD_BYTES
    with contextlib.suppress(TimeoutError, Problem):
        async with asyncio.timeout(DISCARD_SECONDS):
            more = True
            while more and left > 0:
                part = await _part(receive)
                more, left = part.more, left - len(part.body)


class _Part(NamedTuple):
    body: bytes
    more: bool


async def _part(receive: Receive) -> _Part:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Problem(
            Kind.BROKEN_OFF, "the connection ended before the body was whole", headers={"connection": "close"}
        )
    return _Part(message.get("body", b""), message.get("more_body", False))


def _problem(problem: Problem, path: str) -> Response:
    body = msgspec.json.encode(problem.document(path))
    return Response(body, problem.kind.status, PROBLEM, dict(problem.headers))


def _defect(error: Exception, request: Request) -> Response:
    """The trace is for the log, the reference for the caller, and nothing else of it leaves."""
    reference = secrets.token_hex(6)
    trace = "".join(traceback.format_exception(error))
    print(f"defect {reference} at {request.method} {request.path}\n{trace}", file=sys.stderr, flush=True)
    detail = "the server failed at this request; its log says why under this reference"
    return _problem(Problem(Kind.BROKEN, detail, reference=reference), request.path)


async def _send(request: Request, response: Response, send: Send) -> None:
    body, headers = response.body, response.headers
    accepted = request.headers.get("accept-encoding", "")
    if len(body) >= COMPRESS_FROM_BYTES and _REFUSES_GZIP.search(accepted) is None and "gzip" in accepted:
        packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
        body = packer.compress(body) + packer.flush()
        headers = {**headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    listed = [(b"content-type", response.content_type.encode()), (b"content-length", str(len(body)).encode())]
    listed += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": listed})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
