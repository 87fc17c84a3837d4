"""Redis here: one redis-server with a password, which keeps nothing on disk because nothing in it needs keeping."""

from __future__ import annotations

import pulumi

from adapters.settings import KeyValueSettings, Secret
from infra.providers.local.resources import Process, Tcp
from infra.spec import PlatformSpec

CONFIGURATION = """\
bind {{host}}
port {{port.redis}}
requirepass {{secret.password}}
dir {{data}}
save ""
appendonly no
maxmemory {memory_mib}mb
maxmemory-policy allkeys-lru
daemonize no
"""


def settings(spec: PlatformSpec) -> pulumi.Output[KeyValueSettings]:
    """Declare the server; where it is found."""
    server = Process(
        "cache",
        program="redis-server",
        args=["{file.redis.conf}"],
        ports=["redis"],
        secrets=["password"],
        files={"redis.conf": configuration(spec)},
        ready=[Tcp("redis")],
        urls={"redis": "redis://{host}:{port.redis}"},
    )
    return pulumi.Output.all(ports=server.ports, secrets=server.secret_files).apply(
        lambda known: KeyValueSettings(
            host="127.0.0.1",
            port=int(known["ports"]["redis"]),
            password=Secret(f"file:{known['secrets']['password']}"),
        )
    )


def configuration(spec: PlatformSpec) -> str:
    """The text of redis.conf, in whose words the provider puts port, password and folder."""
    return CONFIGURATION.format(memory_mib=spec.cache.memory_mib)
