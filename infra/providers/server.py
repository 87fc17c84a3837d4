"""The gRPC plugin that serves a `Provider` to the Pulumi engine.

    main: serve(Provider.of("isthmus", "1.0.0", [Process(), Bucket()]))

It prints its port on the first line, answers the engine's calls in threads, and ends when the engine interrupts it or
when its standard input closes, which is how a plugin learns that its engine was killed. Before it ends it cancels what
is in flight, so that nothing half made outlives it unrecorded.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS  # pyright: ignore[reportPrivateUsage]
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from infra.providers.base import Call, Cancelled, Change, Difference, Incomplete, Provider, ProviderError, State
from infra.providers.values import show
from infra.providers.wire import Secrets, decode, encode

# The engine kills a plugin five seconds after it interrupted it.
_WIND_DOWN_SECONDS = 4.0
_LOG_DEADLINE_SECONDS = 2.0
_SEVERITIES = {
    "debug": engine_pb2.DEBUG,
    "info": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
    "error": engine_pb2.ERROR,
}
_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Translates each call of the engine into one call of a handler."""

    def __init__(self, provider: Provider, engine: str = "") -> None:
        self.provider = provider
        self.cancelled = threading.Event()
        self._engine: engine_pb2_grpc.EngineStub | None = None
        self._in_flight = 0
        self._idle = threading.Condition()
        self._connect(engine)

    # -- the plugin itself

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ProviderHandshakeResponse:
        self._connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._connect(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.GetSchemaResponse:
        schema: dict[str, Any] = {"name": self.provider.name, "version": self.provider.version}
        schema["resources"] = {token: {} for token in self.provider.resources}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.cancelled.set()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        changed = request.olds != request.news
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some if changed else none)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:
        with self._answering(context, Secrets()):
            self.provider.configure(decode(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            call = Call(urn="", preview=request.preview, cancelled=self.cancelled)
            answer = self.provider.invoke(call, request.tok, decode(request.args, secrets))
            # Its field is called `return`, which Python keeps for itself.
            answered: dict[str, Any] = {"return": encode(answer, secrets)}
            return provider_pb2.InvokeResponse(**answered)

    # -- its resources

    def Check(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            olds, news = decode(request.olds, secrets), decode(request.news, secrets)
            checked = self._resource(request).check(self._call(request), olds, news)
            failures = [
                provider_pb2.CheckFailure(property=failed.property, reason=secrets.redact(failed.reason))
                for failed in checked.failures
            ]
            return provider_pb2.CheckResponse(inputs=encode(checked.inputs, secrets), failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            old = State(request.id, decode(request.old_inputs, secrets), decode(request.olds, secrets))
            difference = self._resource(request).diff(self._call(request), old, decode(request.news, secrets))
            return _diff_response(difference)

    def Create(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            resource, call, news = self._resource(request), self._call(request), decode(request.properties, secrets)
            if request.preview:
                planned = resource.plan(call, None, news)
                return provider_pb2.CreateResponse(properties=encode(planned, secrets))
            made = resource.create(call, news)
            return provider_pb2.CreateResponse(
                id=made.id,
                properties=encode(made.outputs, secrets),
                refresh_before_update=resource.refresh_before_update,
            )

    def Read(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            old = State(request.id, decode(request.inputs, secrets), decode(request.properties, secrets))
            resource = self._resource(request)
            found = resource.read(self._call(request), old)
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.id,
                properties=encode(found.outputs, secrets),
                inputs=encode(found.inputs, secrets),
                refresh_before_update=resource.refresh_before_update,
            )

    def Update(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        secrets = Secrets()
        with self._answering(context, secrets):
            old = State(request.id, decode(request.old_inputs, secrets), decode(request.olds, secrets))
            resource, call, news = self._resource(request), self._call(request), decode(request.news, secrets)
            change = resource.plan if request.preview else resource.update
            outputs = change(call, old, news)
            return provider_pb2.UpdateResponse(
                properties=encode(outputs, secrets), refresh_before_update=resource.refresh_before_update
            )

    def Delete(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        secrets = Secrets()
        with self._answering(context, secrets):
            old = State(request.id, decode(request.old_inputs, secrets), decode(request.properties, secrets))
            self._resource(request).delete(self._call(request), old)
        return empty_pb2.Empty()

    # -- behind them

    def wind_down(self, seconds: float) -> bool:
        """Cancel what is in flight and wait for it, at most `seconds`; whether all of it ended."""
        self.cancelled.set()
        with self._idle:
            return self._idle.wait_for(lambda: self._in_flight == 0, timeout=seconds)

    def _resource(self, request: Any) -> Any:
        # The URN's type may carry its parents' types: `parent$child`.
        return self.provider.resource(request.type or request.urn.split("::")[2].rsplit("$", 1)[-1])

    def _call(self, request: Any) -> Call:
        return Call(
            urn=request.urn,
            preview=getattr(request, "preview", False),
            timeout_seconds=getattr(request, "timeout", 0.0),
            random_seed=getattr(request, "randomSeed", b""),
            cancelled=self.cancelled,
            log=lambda severity, message: self._log(severity, message, request.urn, ephemeral=False),
            status=lambda message: self._log("info", message, request.urn, ephemeral=True),
        )

    def _connect(self, engine: str) -> None:
        if engine and self._engine is None:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine, options=_GRPC_CHANNEL_OPTIONS))

    def _log(self, severity: str, message: str, urn: str, ephemeral: bool) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=_SEVERITIES[severity], message=message, urn=urn, ephemeral=ephemeral)
        try:
            self._engine.Log(request, timeout=_LOG_DEADLINE_SECONDS)
        except grpc.RpcError:
            # The engine is going away; the operation must not fail for a message nobody reads.
            sys.stderr.write(f"{severity}: {message}\n")

    @contextmanager
    def _answering(self, context: grpc.ServicerContext, secrets: Secrets) -> Iterator[None]:
        """Count the call as in flight, and turn what a handler raises into the status the engine understands."""
        with self._idle:
            self._in_flight += 1
        try:
            yield
        except Incomplete as error:
            _abort_incomplete(context, error, secrets)
        except Cancelled as error:
            context.abort(grpc.StatusCode.CANCELLED, secrets.redact(str(error)))
        except ProviderError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, secrets.redact(str(error)))
        except Exception as error:
            # INTERNAL tells the engine that the resource's condition is not known.
            sys.stderr.write(secrets.redact(traceback.format_exc()))
            reason = f"defect in provider {self.provider.name}: {type(error).__name__}: {error}"
            context.abort(grpc.StatusCode.INTERNAL, secrets.redact(reason))
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()


def _diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    changes = difference.changes
    replaced = list(dict.fromkeys(_root(change) for change in changes if change.replaces))
    kind = provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=kind,
        replaces=replaced,
        diffs=list(dict.fromkeys(_root(change) for change in changes)),
        deleteBeforeReplace=bool(replaced) and difference.delete_before_replace,
        hasDetailedDiff=True,
        detailedDiff={
            show(change.path): provider_pb2.PropertyDiff(
                kind=_KINDS[change.kind, change.replaces], inputDiff=not change.drift
            )
            for change in changes
        },
    )


def _root(change: Change) -> str:
    return show(change.path[:1])


def _abort_incomplete(context: grpc.ServicerContext, error: Incomplete, secrets: Secrets) -> None:
    detail = provider_pb2.ErrorResourceInitFailed()
    reason = secrets.redact(str(error))
    detail.id = error.state.id
    detail.reasons.append(reason)
    detail.properties.CopyFrom(encode(error.state.outputs, secrets))
    detail.inputs.CopyFrom(encode(error.state.inputs, secrets))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, reason)


def serve(provider: Provider, argv: Sequence[str] | None = None, *, watch_input: bool = True) -> None:
    """Serve `provider` until the engine is done with it. `argv` ends with the engine's address, as the engine gives.

    `watch_input` is for a plugin that the engine starts itself. One that a language host starts has no input, and is
    ended by its host.
    """
    arguments = [argument for argument in (argv if argv is not None else sys.argv[1:]) if not argument.startswith("-")]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=_GRPC_CHANNEL_OPTIONS)
    servicer = Servicer(provider, arguments[-1] if arguments else "")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(port, flush=True)
    if watch_input:
        on_end_of_input(over.set)
    over.wait()
    deadline = time.monotonic() + _WIND_DOWN_SECONDS
    servicer.wind_down(_WIND_DOWN_SECONDS)
    server.stop(grace=0.1).wait(max(0.1, deadline - time.monotonic()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Worker threads that would not end must not keep the plugin alive after its engine.
    os._exit(0)


def on_end_of_input(action: Callable[[], None]) -> None:
    """Call `action` from a thread once standard input is closed: the engine holds its other end."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        action()

    threading.Thread(target=watch, name="end-of-input", daemon=True).start()


def struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    """`properties` on the wire, with no secrets: for tests and tools that speak to a `Servicer`."""
    return encode(properties)
