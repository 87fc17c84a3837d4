"""The local provider's resources, typed, for Pulumi programs.

    redis = Process(
        "redis",
        program="redis-server",
        args=["{file.redis.conf}"],
        ports=["redis"],
        secrets=["password"],
        files={"redis.conf": "port {port.redis}\\nbind {host}\\nrequirepass {secret.password}\\ndir {data}\\n"},
        ready=[Tcp("redis")],
        urls={"redis": "redis://{host}:{port.redis}"},
    )
    pulumi.export("redis", redis.urls["redis"])

Texts may hold the words that `templates.py` lists, such as `{port.redis}`. A stack names the plugin in Pulumi.yaml:
`plugins: {providers: [{name: isthmus, path: ./tools/isthmus}]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pulumi

Text = pulumi.Input[str]
Signal = Literal["TERM", "INT", "QUIT", "HUP"]


@dataclass(frozen=True)
class Tcp:
    """Ready when the process accepts connections on its port called `port`."""

    port: str
    kind: Literal["tcp"] = "tcp"


@dataclass(frozen=True)
class Http:
    """Ready when GET `path` on the port called `port` answers with `status`."""

    port: str
    path: str = "/"
    status: int = 200
    kind: Literal["http"] = "http"


@dataclass(frozen=True)
class LogLine:
    """Ready when a line of the log, since this start, matches the regular expression `pattern`."""

    pattern: str
    kind: Literal["log"] = "log"


@dataclass(frozen=True)
class Stop:
    """How to end it: `signal` to the process, `grace_seconds`, then SIGKILL to it and to all it started."""

    signal: Signal = "TERM"
    grace_seconds: float = 10.0


class Process(pulumi.CustomResource):
    """A long-running program of this machine.

    It is created once it is ready, survives the engine, and is looked at before every update: one that has died, or a
    machine that was restarted, is brought back with its data by a plain `pulumi up`. A change of what the program feels
    restarts it in place; another `program` replaces it. Secrets are generated here, once, and never leave their files.
    """

    running: pulumi.Output[bool]
    """False after a refresh that found it dead."""
    pid: pulumi.Output[int]
    started: pulumi.Output[str]
    """When this process was started: ISO 8601, UTC."""
    ports: pulumi.Output[dict[str, int]]
    """The loopback port of each declared name."""
    urls: pulumi.Output[dict[str, str]]
    """The `urls` templates, with their words replaced."""
    secret_files: pulumi.Output[dict[str, str]]
    """The file of each declared secret, readable by its owner alone."""
    dir: pulumi.Output[str]
    data: pulumi.Output[str]
    data_id: pulumi.Output[str]
    """Another value when the data folder had to be made anew: give it to what lives in the data."""
    log: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        program: Text,
        args: pulumi.Input[Sequence[Text]] = (),
        env: pulumi.Input[Mapping[str, Text]] | None = None,
        ports: Sequence[str] | Mapping[str, pulumi.Input[int]] = (),
        secrets: Sequence[str] = (),
        files: pulumi.Input[Mapping[str, Text]] | None = None,
        setup: pulumi.Input[Sequence[Sequence[Text]]] = (),
        ready: Sequence[Tcp | Http | LogLine] = (),
        ready_timeout_seconds: pulumi.Input[float] = 60.0,
        stop: Stop | None = None,
        urls: pulumi.Input[Mapping[str, Text]] | None = None,
        revision: Text = "",
        keep_data: pulumi.Input[bool] = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the process.

        `program` is a name that `tools.locate` knows; `args` follow its own. The environment is `env` over a short
        list of harmless variables, never the engine's. `ports` are names, each given a free loopback port below 32768
        that it keeps over restarts, or names with numbers, where 0 means any. `secrets` are names. `files` are written
        before the start. Each command of `setup` follows the program too, and runs once, before the first start on
        new data. All of `ready` must hold within `ready_timeout_seconds`. `urls` are texts worth publishing, without
        secrets. Another `revision` restarts the process. `keep_data` keeps data and secrets when it is deleted.
        """
        wanted_ports = dict(ports) if isinstance(ports, Mapping) else {name: 0 for name in ports}
        inputs: dict[str, Any] = {
            "program": program,
            "args": args if isinstance(args, pulumi.Output) else list(args),  # pyright: ignore[reportArgumentType]
            "env": env or {},
            "ports": wanted_ports,
            "secrets": list(secrets),
            "files": files or {},
            "setup": setup if isinstance(setup, pulumi.Output) else [list(line) for line in setup],  # pyright: ignore
            "ready": [asdict(check) for check in ready],
            "ready_timeout_seconds": ready_timeout_seconds,
            "stop": asdict(stop or Stop()),
            "urls": urls or {},
            "revision": revision,
            "keep_data": keep_data,
        }
        outputs = ("running", "pid", "started", "secret_files", "dir", "data", "data_id", "log")
        super().__init__("isthmus:local:Process", resource_name, inputs | dict.fromkeys(outputs), opts)
