"""A language host for Python: the part of the Pulumi engine that runs a program, for machines without the official one.

The engine starts it as `pulumi-language-python ENGINE_ADDRESS` and reads its port from the first line. It runs the
program with the interpreter of the project's `virtualenv`, passes its output on, and ends when its engine does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

VERSION = "3.0.0"
_HERE = Path(__file__).resolve().parent
_SHOWN = 32
_GRACE_SECONDS = 2.0
_LARGEST_MESSAGE = 400 * 1024 * 1024


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine's questions about Python programs, and runs them."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: Any) -> language_pb2.LanguageHandshakeResponse:
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request: Any, context: Any) -> language_pb2.GetRequiredPackagesResponse:
        # None in advance: the engine loads a provider when the first resource of it is registered.
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> language_pb2.GetRequiredPluginsResponse:
        return language_pb2.GetRequiredPluginsResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> language_pb2.RuntimeOptionsResponse:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[language_pb2.InstallDependenciesResponse]:
        message = "install the project's requirements into its virtual environment; this host installs nothing\n"
        yield language_pb2.InstallDependenciesResponse(stderr=message.encode())

    def About(self, request: Any, context: Any) -> language_pb2.AboutResponse:
        executable = interpreter(request.info, context)
        version = _asked(executable, "import sys; print(sys.version.split()[0])", context)
        return language_pb2.AboutResponse(executable=executable, version=version)

    def GetProgramDependencies(self, request: Any, context: Any) -> language_pb2.GetProgramDependenciesResponse:
        question = (
            "import importlib.metadata as m, json; "
            "print(json.dumps(sorted({(d.name, d.version) for d in m.distributions() if d.name})))"
        )
        found = json.loads(_asked(interpreter(request.info, context), question, context))
        dependencies = [language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def Run(self, request: Any, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        command = [
            interpreter(request.info, context),
            "-u",
            str(_HERE / "program.py"),
            *_options(request, self._engine),
            "--",
            _program(request.info),
            *request.args,
        ]
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        # The program inherits this process's output, which the engine shows line by line.
        child = self._start(command, context, environment, request.pwd or None)
        code = child.wait()
        self._forget(child)
        if code == 0:
            return language_pb2.RunResponse()
        if code == _SHOWN:
            return language_pb2.RunResponse(bail=True)
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        return language_pb2.RunResponse(error=f"the program ended with {how}")

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[language_pb2.RunPluginResponse]:
        environment = dict(pair.split("=", 1) for pair in request.env if "=" in pair)
        command = [interpreter(request.info, context), "-u", request.info.program_directory, *request.args]
        child = self._start(command, context, environment, request.pwd or None, subprocess.PIPE)
        pieces: Queue[tuple[str, bytes]] = Queue()
        for name, stream in (("stdout", child.stdout), ("stderr", child.stderr)):
            threading.Thread(target=_pump, args=(name, stream, pieces), daemon=True).start()
        open_streams = 2
        while open_streams:
            name, piece = pieces.get()
            if not piece:
                open_streams -= 1
            elif name == "stdout":
                yield language_pb2.RunPluginResponse(stdout=piece)
            else:
                yield language_pb2.RunPluginResponse(stderr=piece)
        code = child.wait()
        self._forget(child)
        yield language_pb2.RunPluginResponse(exitcode=code)

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.end_children()
        return empty_pb2.Empty()

    def end_children(self) -> None:
        """Interrupt every program that still runs, and kill what does not heed it."""
        with self._lock:
            children = list(self._children)
        for child in children:
            child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()

    def _start(
        self,
        command: list[str],
        context: grpc.ServicerContext,
        env: dict[str, str],
        cwd: str | None,
        output: int | None = None,
    ) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except OSError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{command[0]} cannot be started: {error.strerror}")
            raise
        with self._lock:
            self._children.add(child)
        # The engine drops the call when the update is cancelled.
        context.add_callback(child.terminate)
        return child

    def _forget(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._children.discard(child)


def interpreter(info: Any, context: grpc.ServicerContext) -> str:
    """The Python of the project's `virtualenv` option, which is relative to Pulumi.yaml; ours where there is none."""
    chosen = json_format.MessageToDict(info.options).get("virtualenv")
    if not chosen:
        return sys.executable
    folder = Path(info.root_directory, chosen)
    python = folder / "bin" / "python"
    if not python.exists():
        reason = f"Pulumi.yaml asks for virtualenv {chosen!r}, but {python} is missing: create that environment"
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)
    return str(python)


def _program(info: Any) -> str:
    """The file or folder to run."""
    return str(Path(info.program_directory, info.entry_point or "."))


def _options(request: Any, engine: str) -> list[str]:
    values = {
        "monitor": request.monitor_address,
        "engine": engine,
        "project": request.project,
        "stack": request.stack,
        "organization": request.organization,
        "root_directory": request.info.root_directory,
        "pwd": request.pwd or request.info.program_directory,
        "parallel": str(request.parallel),
    }
    options = [word for name, value in values.items() for word in (f"--{name}", value)]
    return [*options, "--dry_run"] if request.dryRun else options


def _asked(executable: str, question: str, context: grpc.ServicerContext) -> str:
    answer = subprocess.run([executable, "-c", question], capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode != 0:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{executable} does not work: {answer.stderr.strip()}")
    return answer.stdout.strip()


def _pump(name: str, stream: Any, pieces: Queue[tuple[str, bytes]]) -> None:
    while piece := os.read(stream.fileno(), 65536):
        pieces.put((name, piece))
    pieces.put((name, b""))


def main() -> None:
    """Serve until the engine ends this process or goes away."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost(arguments[-1] if arguments else "")
    limits = [("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=limits)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(port, flush=True)
    threading.Thread(target=_watch_engine, args=(over,), daemon=True).start()
    over.wait()
    host.end_children()
    server.stop(grace=0.1).wait(1.0)
    os._exit(0)


def _watch_engine(over: threading.Event) -> None:
    """Set `over` once standard input is closed: the engine holds its other end, and even a killed engine lets go."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    over.set()


if __name__ == "__main__":
    main()
