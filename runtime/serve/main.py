"""Serve models over HTTP.

    python -m runtime.serve.main --models digits,tumor --port 8080 --management-port 8081

A model is NAME (its champion), NAME@ALIAS or NAME:VERSION; the first of a name is its default. The platform is what
`ISTHMUS_SETTINGS` and `CLOUD_PROVIDER` say. Ready once every model is loaded, verified and warm; SIGTERM lets requests in
flight finish and exits 0 within 5 seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.command import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("runtime.serve.main", "Serve models over HTTP.")
    command.add_argument(
        "--models", required=True, help="NAME, NAME@ALIAS or NAME:VERSION, several separated by commas"
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    command.add_argument("--port", type=int, default=8080)
    command.add_argument("--management-host", default="127.0.0.1")
    command.add_argument("--management-port", type=int, default=8081)
    command.add_argument(
        "--code", action="append", default=[], help="a .py file or module that holds a model's architecture"
    )
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    command.add_argument("--threads", type=int, default=1, help="threads that run models (default 1)")
    command.add_argument(
        "--poll-seconds", type=float, default=2.0, help="how often to look for moved aliases (default 2)"
    )
    return command.run(lambda options: _serve(command, options), arguments)


def _serve(command: Command, options: argparse.Namespace) -> int:
    from runtime.domain.reference import Reference

    try:
        references = list(dict.fromkeys(Reference.parse(text) for text in options.models.split(",")))
    except ValueError as error:
        command.error(f"--models: {error}")
    for flag, value, most in (("--threads", options.threads, 1024), ("--poll-seconds", options.poll_seconds, 86_400)):
        if not 0 < value <= most:
            command.error(f"{flag} must be above 0 and at most {most}, not {value}")
    for port in (options.port, options.management_port):
        if not 1 <= port <= 65535:
            command.error(f"a port is 1 to 65535, not {port}")

    from adapters import connect
    from adapters.settings import Settings

    settings = Settings.load()

    from runtime.registry.code import load_module
    from runtime.serve.server import Listen, ServeConfig, serve

    config = ServeConfig(
        references=references,
        listen=Listen(options.host, options.port),
        management=Listen(options.management_host, options.management_port),
        allowed=tuple(load_module(place).__name__ for place in options.code),
        device=options.device,
        threads=options.threads,
        poll_seconds=options.poll_seconds,
    )
    with connect(settings) as platform:
        serve(platform.registry, config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
