"""The runtime's long-lived processes, once for every cloud: rendered as processes here, as Deployments on Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass

from infra.spec import PlatformSpec


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of process. In `args`, `{port.<name>}` is the number that the platform gave to that port."""

    name: str
    module: str
    """Run as `python -m <module>` in the runtime's environment, with ISTHMUS_SETTINGS naming its settings."""
    args: tuple[str, ...]
    ports: tuple[str, ...]
    live: tuple[str, str]
    """(port name, path): answers 200 when the process runs; it may not be ready to serve yet."""
    ready: tuple[str, str]
    """(port name, path): answers 200 when it should get traffic."""
    public: str
    """The port that clients use."""


def services(spec: PlatformSpec) -> list[Service]:
    """What this environment runs."""
    if not spec.serving.models:
        return []
    return [
        Service(
            name="serve",
            module="runtime.serve.main",
            args=(
                "--models", ",".join(spec.serving.models),
                "--port", "{port.http}",
                "--management-port", "{port.management}",
                "--threads", str(spec.serving.threads),
            ),
            ports=("http", "management"),
            live=("http", "/v2/health/live"),
            ready=("http", "/v2/health/ready"),
            public="http",
        )
    ]  # fmt: skip
