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
        setup: Sequence[Sequence[Text]] = (),
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
        wanted_ports = dict(ports) if isinstance(ports, Mapping) else dict.fromkeys(ports, 0)
        inputs: dict[str, Any] = {
            "program": program,
            "args": _listed(args),
            "env": env or {},
            "ports": wanted_ports,
            "secrets": list(secrets),
            "files": files or {},
            "setup": [_listed(command) for command in setup],
            "ready": [asdict(check) for check in ready],
            "ready_timeout_seconds": ready_timeout_seconds,
            "stop": asdict(stop or Stop()),
            "urls": urls or {},
            "revision": revision,
            "keep_data": keep_data,
        }
        outputs = ("running", "pid", "started", "secret_files", "dir", "data", "data_id", "log")
        super().__init__("isthmus:local:Process", resource_name, inputs | dict.fromkeys(outputs), opts)


class Bucket(pulumi.CustomResource):
    """A bucket of a local object store, normally one that a `Process` runs.

    One that is there already is taken over. When the resource is deleted, a bucket that holds objects is left as it is,
    with a warning, unless `force`; and so is every bucket of a server that is down.
    """

    name: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    versioning: pulumi.Output[bool]

    def __init__(
        self,
        resource_name: str,
        *,
        kind: Literal["s3", "gcs"],
        endpoint: Text,
        name: Text,
        access_key_file: Text = "",
        secret_key_file: Text = "",
        versioning: pulumi.Input[bool] = False,
        force: pulumi.Input[bool] = False,
        data_id: Text = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the bucket.

        `endpoint` is the server's URL. An S3 server needs two files that hold one key each, such as a Process's
        `secret_files`; the local GCS server has no credentials. `data_id`, a Process's, has the bucket made again when
        the data it was in is gone.
        """
        inputs = {
            "kind": kind,
            "endpoint": endpoint,
            "name": name,
            "access_key_file": access_key_file,
            "secret_key_file": secret_key_file,
            "versioning": versioning,
            "force": force,
            "data_id": data_id,
        }
        super().__init__("isthmus:local:Bucket", resource_name, inputs, opts)


class Topic(pulumi.CustomResource):
    """A topic of a local Kafka broker, normally one that a `Process` runs.

    One that is there already is taken over, grown and set up as asked. When the resource is deleted, a topic that holds
    records is left as it is, with a warning, unless `force`; and so is every topic of a broker that is down.
    """

    name: pulumi.Output[str]
    bootstrap: pulumi.Output[str]
    partitions: pulumi.Output[int]
    config: pulumi.Output[dict[str, str]]

    def __init__(
        self,
        resource_name: str,
        *,
        bootstrap: Text,
        name: Text,
        partitions: pulumi.Input[int] = 1,
        replication: pulumi.Input[int] = 1,
        config: pulumi.Input[Mapping[str, Text]] | None = None,
        force: pulumi.Input[bool] = False,
        data_id: Text = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the topic.

        `bootstrap` is `host:port`. `partitions` can only grow. `config` holds Kafka's own topic settings, such as
        `{"retention.ms": "86400000"}`; what is not in it keeps the broker's default. `data_id`, a Process's, has the
        topic made again when the data it was in is gone.
        """
        inputs = {
            "bootstrap": bootstrap,
            "name": name,
            "partitions": partitions,
            "replication": replication,
            "config": config or {},
            "force": force,
            "data_id": data_id,
        }
        super().__init__("isthmus:local:Topic", resource_name, inputs, opts)


def _listed(texts: Any) -> Any:
    """A list where the texts are there, an Output or awaitable as it is: the engine knows no tuples."""
    return list(texts) if isinstance(texts, Sequence) else texts
