"""The runtime's processes here, each a process of this machine."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from adapters.settings import Settings
from infra.providers.local.resources import Http, Process
from infra.revision import revision
from infra.services import Service


def run(wanted: Sequence[Service], *, settings: pulumi.Output[Settings], threads: int) -> dict[str, pulumi.Output[str]]:
    """Declare them; base URLs by what they are for.

    A service counts as started when it is live: it becomes ready by itself once there is a model to serve.
    """
    endpoints: dict[str, pulumi.Output[str]] = {}
    for service in wanted:
        process = Process(
            service.name,
            program="python-runtime",
            args=["-m", service.module, *service.args],
            env={
                "ISTHMUS_SETTINGS": "{file.settings.json}",
                "OMP_NUM_THREADS": str(threads),
                "PYTHONUNBUFFERED": "1",
            },
            ports=service.ports,
            files={"settings.json": settings.apply(lambda known: known.to_json().decode())},
            ready=[Http(*service.live)],
            urls={name: f"http://{{host}}:{{port.{name}}}" for name in service.ports},
            revision=revision(),
        )
        endpoints |= {"predict" if name == service.public else name: process.urls[name] for name in service.ports}
    return endpoints
