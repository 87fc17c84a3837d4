"""The Pulumi program: read what the environment wants, have its cloud provide it, publish the outputs."""

from __future__ import annotations

import importlib

import pulumi

from adapters.settings import requested_cloud
from infra import spec as specification


def main() -> None:
    wanted = pulumi.Config().require_object("platform")
    spec = specification.load(wanted, environment=pulumi.get_stack())
    adapters = specification.active_adapters(spec, requested_cloud())
    cloud = importlib.import_module(f"infra.clouds.{spec.cloud}")
    pulumi.export("platform", cloud.provision(spec, adapters))


main()
