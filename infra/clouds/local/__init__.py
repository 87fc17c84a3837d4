"""This machine as a cloud: real servers and the runtime's own processes, each a resource of our provider.

The files have the names they have on every cloud. There is no network.py, identity.py or registry.py here: everything is on
the loopback interface, passwords lie in private files, and the code runs from the checkout instead of an image.
"""

from __future__ import annotations

from typing import Any

import pulumi

from adapters.settings import LauncherSettings, SecretsSettings, Settings
from infra.clouds.local import cache, cluster, database, storage, stream
from infra.clouds.local.place import folder
from infra.outputs import PlatformOutputs
from infra.services import services
from infra.spec import PlatformSpec

EMULATES = ("onprem", "aws", "gcp")
"""Clouds whose adapters can talk to the servers here."""


def provision(spec: PlatformSpec, adapters: str) -> pulumi.Output[dict[str, Any]]:
    """Declare the servers and processes; the stack's `platform` output. `adapters` is the cloud the runtime believes in."""
    stores = storage.stores(spec, adapters)
    shared = pulumi.Output.all(
        queue=stream.settings(spec),
        key_value=cache.settings(spec),
        database=database.settings(spec),
    )
    by_cloud = {
        cloud: pulumi.Output.all(storage=section, shared=shared).apply(
            lambda known, cloud=cloud: Settings(
                cloud=cloud,
                environment=spec.environment,
                emulated=cloud != spec.cloud,
                storage=known["storage"],
                secrets=SecretsSettings(folder=str(folder(spec, "secrets"))),
                launcher=LauncherSettings(folder=str(folder(spec, "tasks"))),
                **known["shared"],
            )
        )
        for cloud, section in stores.items()
        if cloud in (spec.cloud, *spec.adapters)
    }
    chosen = by_cloud.pop(adapters)
    endpoints = cluster.run(services(spec), settings=chosen, threads=spec.serving.threads)
    return pulumi.Output.all(settings=chosen, alternatives=by_cloud, endpoints=endpoints).apply(
        lambda known: PlatformOutputs(environment=spec.environment, cloud=spec.cloud, **known).exported()
    )
