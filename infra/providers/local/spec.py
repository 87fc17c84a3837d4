"""The inputs of `isthmus:local:Process`, and everything that can be wrong with them before anything is started."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

import tools
from infra.providers.base import Checked, Failure, failure
from infra.providers.inputs import check_inputs, known
from infra.providers.local.templates import Names, problems
from infra.providers.values import Path, Properties

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Tcp(msgspec.Struct, tag="tcp", tag_field="kind", frozen=True):
    """Ready when something accepts connections on the port of this name."""

    port: str


class Http(msgspec.Struct, tag="http", tag_field="kind", frozen=True):
    """Ready when GET `path` on the port of this name answers with `status`."""

    port: str
    path: str = "/"
    status: Annotated[int, Meta(ge=100, le=599)] = 200


class LogLine(msgspec.Struct, tag="log", tag_field="kind", frozen=True):
    """Ready when a line of the log, since this start, matches the regular expression."""

    pattern: str


class Stop(msgspec.Struct, frozen=True):
    """How to end it: a signal to the process, a grace, then SIGKILL to it and all it started."""

    signal: Literal["TERM", "INT", "QUIT", "HUP"] = "TERM"
    grace_seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0

    @property
    def number(self) -> signal.Signals:
        """The signal's number."""
        return signal.Signals[f"SIG{self.signal}"]


class ProcessInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What `resources.Process` documents, as the engine sends it."""

    program: Annotated[str, Meta(min_length=1)]
    args: list[str] = []
    env: dict[str, str] = {}
    ports: dict[Name, Port] = {}
    secrets: list[Name] = []
    files: dict[str, str] = {}
    setup: list[list[str]] = []
    ready: list[Tcp | Http | LogLine] = []
    ready_timeout_seconds: Seconds = 60.0
    stop: Stop = Stop()
    urls: dict[str, str] = {}
    revision: str = ""
    keep_data: bool = True

    def names(self) -> Names:
        """What its templates may refer to."""
        return Names(frozenset(self.ports), frozenset(self.files), frozenset(self.secrets))


# A change of any of these is felt by the running process; the others only say how it is watched and ended.
RESTARTING = ("args", "env", "files", "ports", "revision", "secrets")


def check(news: Properties) -> Checked:
    """Inputs with defaults, or every mistake in them: types, names, templates, the program itself."""
    checked = check_inputs(ProcessInputs, news)
    if not checked.failures:
        checked.failures.extend(_mistakes(checked.inputs))
    return checked


def locate(program: str) -> tools.Program:
    """The program on this machine; raises LookupError with one sentence that says how to get it."""
    try:
        return tools.locate(program)
    except KeyError as error:
        raise LookupError(str(error.args[0])) from None
    except tools.ToolMissing as error:
        raise LookupError(str(error)) from None


def _mistakes(inputs: Properties) -> Iterator[Failure]:
    program = known(inputs, "program", "")
    if program:
        try:
            locate(program)
        except LookupError as error:
            yield Failure("program", str(error))
    for name in known(inputs, "files", {}):
        if not _plain_file_name(name):
            yield failure(("files", name), "is not a plain relative file name: no '/', no leading '.'")
    yield from _duplicates(inputs)
    yield from _readiness(inputs)
    yield from _templates(inputs)


def _plain_file_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and PurePosixPath(name).name == name and "\0" not in name


def _duplicates(inputs: Properties) -> Iterator[Failure]:
    fixed = [port for port in known(inputs, "ports", {}).values() if isinstance(port, int) and port]
    for port in sorted({port for port in fixed if fixed.count(port) > 1}):
        yield Failure("ports", f"port {port} is asked for twice")
    secrets = known(inputs, "secrets", [])
    for name in sorted({name for name in secrets if secrets.count(name) > 1}):
        yield Failure("secrets", f"{name!r} is declared twice")


def _readiness(inputs: Properties) -> Iterator[Failure]:
    ports = known(inputs, "ports", None)
    for index, probe in enumerate(known(inputs, "ready", [])):
        if ports is not None and "port" in probe and probe["port"] not in ports:
            declared = ", ".join(sorted(ports)) or "none"
            yield failure(("ready", index, "port"), f"{probe['port']!r} is not a declared port; declared: {declared}")
        if "pattern" in probe:
            try:
                re.compile(probe["pattern"])
            except re.error as error:
                yield failure(("ready", index, "pattern"), f"is not a regular expression: {error}")


def _templates(inputs: Properties) -> Iterator[Failure]:
    if any(known(inputs, name, None) is None for name in ("ports", "files", "secrets")):
        return
    names = Names(frozenset(inputs["ports"]), frozenset(inputs["files"]), frozenset(inputs["secrets"]))
    for path, text, secrets_allowed in _texts(inputs):
        for problem in problems(text, names, secrets_allowed):
            yield failure(path, problem)


def _texts(inputs: Properties) -> Iterator[tuple[Path, str, bool]]:
    """Every template with its path, and whether a secret in it stays unseen."""
    for index, text in enumerate(known(inputs, "args", [])):
        yield ("args", index), text, False
    for row, command in enumerate(known(inputs, "setup", [])):
        for index, text in enumerate(command):
            yield ("setup", row, index), text, False
    for name, allowed in (("env", True), ("files", True), ("urls", False)):
        for key, text in known(inputs, name, {}).items():
            yield (name, key), text, allowed
