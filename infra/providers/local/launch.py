"""Starting a process and waiting until it is ready, so that whatever happens meanwhile can be told from its record."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

import tools
from infra.providers.base import Call, Cancelled, ProviderError
from infra.providers.local import identity, logs, ports, readiness, records
from infra.providers.local.places import Place, write_private
from infra.providers.local.records import Record
from infra.providers.local.spec import RESTARTING, ProcessInputs, locate
from infra.providers.local.templates import HOST, Scope, render

_PORT_ATTEMPTS = 5
_POLL_SECONDS = 0.03
# Without a probe, a program that cannot even start is noticed by its early end.
_SETTLE_SECONDS = 0.3
_HURRIED_GRACE_SECONDS = 1.0
_SHOWN_CHARACTERS = 80
# A process gets these of the environment and no more: the engine's holds passphrases and the person's cloud keys.
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR")
_INHERITED_PREFIXES = ("LC_",)
_RESERVATIONS = ports.Reservations()


class Died(ProviderError):
    """The process ended, or would not get ready, before it was of any use."""


def bring_up(place: Place, spec: ProcessInputs, call: Call, preferred: dict[str, int]) -> Record:
    """The process of `place`, ready: the one that runs already if it was started with the same inputs, else a new one.

    Raises Cancelled or ProviderError, with nothing of it left running.
    """
    try:
        program = locate(spec.program)
    except LookupError as error:
        raise ProviderError(str(error)) from None
    with place.locked():
        place.prepare()
        record = records.load(place)
        if record is not None:
            preferred = {**preferred, **record.ports}
            if _adopt(_Start(place, spec, program, call, record)):
                return record
        return _start_on_free_ports(place, spec, program, call, preferred)


def take_down(place: Place, call: Call, keep_data: bool) -> None:
    """End what was started in `place`, if anything, and forget it."""
    with place.locked():
        record = records.load(place)
        if record is not None:
            records.end(record, call.cancelled)
        place.forget(keep_data)


def scope_of(place: Place, spec: ProcessInputs, chosen: dict[str, int], values: dict[str, str], name: str) -> Scope:
    """What the templates of `spec` stand for; `values` are its secrets, empty where none may appear."""
    return Scope(
        plain={
            "dir": str(place.dir), "data": str(place.data), "log": str(place.log), "host": HOST, "name": name
        },
        ports=chosen,
        files={file: str(place.file(file)) for file in spec.files},
        secrets=values,
        secret_files={secret: str(place.secret(secret)) for secret in spec.secrets},
    )  # fmt: skip


def _adopt(start: _Start) -> bool:
    """Whether what runs already is what is wanted; it is ended if not.

    It runs after an update that does not concern it, and after a run that was killed before it told the engine.
    """
    record, spec = start.record, start.spec
    fits = record.phase in ("started", "ready") and record.alive and record.digest == digest(spec)
    if not fits:
        records.end(record, start.call.cancelled)
        return False
    record.stop, record.keep_data = spec.stop, spec.keep_data
    try:
        _await_ready(start, None)
    except Died:
        _abandon(start)
        return False
    except Cancelled:
        _abandon(start)
        raise
    return True


def _start_on_free_ports(
    place: Place, spec: ProcessInputs, program: tools.Program, call: Call, preferred: dict[str, int]
) -> Record:
    for attempt in range(_PORT_ATTEMPTS):
        known = records.list_records()
        avoid = {port for record in known if record.id != place.id for port in record.ports.values()}
        chosen: dict[str, int] = {}
        try:
            with _RESERVATIONS.choose(str(place.dir), spec.ports, preferred, avoid) as chosen:
                return _start(place, spec, program, call, chosen)
        except ports.PortTaken as taken:
            raise ports.PortTaken(taken.name, taken.port, records.holder_of(taken.port, known)) from None
        except Died:
            lost = [name for name, port in chosen.items() if not spec.ports[name] and not ports.is_free(port)]
            if not lost or attempt == _PORT_ATTEMPTS - 1:
                raise
            call.log("debug", f"port {chosen[lost[0]]} was taken meanwhile; trying others")
            preferred = {name: port for name, port in preferred.items() if name not in lost}
    raise AssertionError("unreachable: the last attempt returns or raises")


@dataclass
class _Start:
    """One attempt: what is started, where, and what is written down about it."""

    place: Place
    spec: ProcessInputs
    program: tools.Program
    call: Call
    record: Record
    secrets: dict[str, str] = field(default_factory=dict)
    log_offset: int = 0

    @property
    def limit_seconds(self) -> float:
        """How long to wait: the resource's custom timeout wins over the input."""
        return self.call.timeout_seconds or self.spec.ready_timeout_seconds


def _start(place: Place, spec: ProcessInputs, program: tools.Program, call: Call, chosen: dict[str, int]) -> Record:
    record = Record(
        id=place.id,
        urn=call.urn,
        name=call.name,
        program=spec.program,
        token=secrets.token_hex(16),
        digest=digest(spec),
        ports=chosen,
        stop=spec.stop,
        keep_data=spec.keep_data,
    )
    values = place.secret_values(spec.secrets)
    start = _Start(place, spec, program, call, record, values, logs.rotate(place.log))
    scope = scope_of(place, spec, chosen, values, call.name)
    for name, text in spec.files.items():
        write_private(place.file(name), render(text, scope))
    environment = _environment(spec, program, scope, record.token)
    try:
        _set_up(start, scope, environment)
        child = _spawn(start, "intent", "started", [render(arg, scope) for arg in spec.args], environment)
        _await_ready(start, child)
    except (Died, Cancelled):
        _abandon(start)
        raise
    return record


def _set_up(start: _Start, scope: Scope, environment: dict[str, str]) -> None:
    """Run the set-up commands, unless they have succeeded on this data before."""
    if start.place.setup_done.exists():
        return
    for number, command in enumerate(start.spec.setup, 1):
        told = f"its set-up command {number} ({' '.join(command)[:_SHOWN_CHARACTERS]})"
        start.call.status(f"waiting for {told}")
        child = _spawn(start, "setup", "setup", [render(arg, scope) for arg in command], environment)
        _wait(start, lambda child=child: child.poll() is not None, f"{told} did not end")
        if child.returncode != 0:
            raise _died(start, f"{told} ended with {_how(child.returncode)}")
    if start.spec.setup:
        write_private(start.place.setup_done, "")


def _spawn(
    start: _Start, before: records.Phase, after: records.Phase, arguments: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Write the intent down, start, write the pid down: at no point is something running that nothing tells of."""
    record, place = start.record, start.place
    record.pid, record.birth, record.phase = 0, "", before
    records.save(place, record)
    argv = [*start.program.argv, *arguments]
    with logs.opened(place.log) as log:
        try:
            child = subprocess.Popen(
                argv,
                cwd=place.dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Died(f"{start.spec.program} cannot be started: {error.strerror}: {argv[0]}") from error
    record.born(child.pid, after)
    records.save(place, record)
    return child


def _await_ready(start: _Start, child: subprocess.Popen[bytes] | None) -> None:
    record = start.record
    for probe in start.spec.ready:
        start.call.status(f"waiting for {readiness.describe(probe, record.ports)}")
        ready = readiness.probe(probe, record, start.place.log, start.log_offset)
        _wait(start, _unless_dead(start, child, ready), f"not ready: {readiness.describe(probe, record.ports)}")
    if not start.spec.ready:
        settled = time.monotonic() + _SETTLE_SECONDS
        _wait(start, _unless_dead(start, child, lambda: time.monotonic() > settled), "it did not settle")
    record.phase = "ready"
    records.save(start.place, record)


def _unless_dead(start: _Start, child: subprocess.Popen[bytes] | None, ready: Callable[[], bool]) -> Callable[[], bool]:
    def done() -> bool:
        code = child.poll() if child is not None else None
        if code is not None or not start.record.alive:
            raise _died(start, f"ended{'' if code is None else f' with {_how(code)}'} before it was ready")
        return ready()

    return done


def _wait(start: _Start, done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + start.limit_seconds
    while not done():
        if start.call.cancelled.wait(_POLL_SECONDS):
            raise Cancelled(f"{start.record.name} was interrupted while starting, and ended")
        if time.monotonic() > deadline:
            raise _died(start, f"gave up after {start.limit_seconds:g} s: {otherwise}")


def _died(start: _Start, what: str) -> Died:
    tail = logs.tail(start.place.log, start.log_offset, start.secrets.values())
    return Died(f"{start.record.name}: {what}; its log {start.place.log} ends with:\n{tail}")


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _abandon(start: _Start) -> None:
    """End a start that failed. It has nothing to lose by a short grace."""
    stop = start.record.stop
    short = msgspec.structs.replace(stop, grace_seconds=min(stop.grace_seconds, _HURRIED_GRACE_SECONDS))
    records.end(msgspec.structs.replace(start.record, stop=short), start.call.cancelled)
    start.place.record.unlink(missing_ok=True)


def _environment(spec: ProcessInputs, program: tools.Program, scope: Scope, token: str) -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if key in _INHERITED or key.startswith(_INHERITED_PREFIXES)
    }
    own = {key: render(text, scope) for key, text in spec.env.items()}
    return {**inherited, **program.env, **own, identity.TOKEN: token}


def digest(spec: ProcessInputs) -> str:
    """Names what a running process was started with; equal digests mean that it need not be restarted."""
    felt = {name: value for name, value in msgspec.to_builtins(spec).items() if name in RESTARTING}
    return hashlib.sha256(msgspec.json.encode([spec.program, felt], order="sorted")).hexdigest()
