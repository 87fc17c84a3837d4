"""Whether a process can be used yet: a port that accepts, a page that answers, a line in the log."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from infra.providers.local import identity, logs
from infra.providers.local.records import Record
from infra.providers.local.spec import Http, LogLine, Tcp
from infra.providers.local.templates import HOST

_ANSWER_SECONDS = 2.0


def probe(check: Tcp | Http | LogLine, record: Record, log: Path, log_offset: int) -> Callable[[], bool]:
    """A question that can be asked again and again: is it ready, as far as `check` goes?"""
    if isinstance(check, Tcp):
        return lambda: _accepts(record.ports[check.port]) and _is_ours(record, record.ports[check.port])
    if isinstance(check, Http):
        port = record.ports[check.port]
        return lambda: _answers(port, check.path) == check.status and _is_ours(record, port)
    pattern = re.compile(check.pattern, re.MULTILINE)
    return lambda: pattern.search(logs.since(log, log_offset)) is not None


def describe(check: Tcp | Http | LogLine, ports: Mapping[str, int]) -> str:
    """What `check` waits for, in a few words."""
    if isinstance(check, Tcp):
        return f"port {ports[check.port]} ({check.port!r}) to accept connections"
    if isinstance(check, Http):
        return f"status {check.status} from http://{HOST}:{ports[check.port]}{check.path}"
    return f"a line of the log that matches {check.pattern!r}"


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=_ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _answers(port: int, path: str) -> int:
    """The status of GET `path`, or 0 when there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _is_ours(record: Record, port: int) -> bool:
    """Whether the listener belongs to this process: another may have taken the port before ours came to bind it."""
    for process in identity.members(record.pid, record.birth, record.token):
        try:
            held = process.net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return True
        if any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in held):
            return True
    return False
