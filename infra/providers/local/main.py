"""The plugin `pulumi-resource-isthmus`: serves `isthmus:local:*` to the engine."""

from __future__ import annotations

from infra.providers.base import Provider
from infra.providers.local.bucket import Bucket
from infra.providers.local.process import Process
from infra.providers.local.topic import Topic
from infra.providers.server import serve

VERSION = "0.1.0"


def main() -> None:
    """Serve until the engine is done."""
    serve(Provider.of("isthmus", VERSION, [Process(), Bucket(), Topic()]))


if __name__ == "__main__":
    main()
