"""The clouds' own Pulumi SDKs: large, so each lies once in the per-user cache, and only for who asks for it.

Each is one wheel of pure Python whose dependencies the infra environment has anyway; that environment sees it through a
`.pth` file.
"""

from __future__ import annotations

from pathlib import Path

from tools import catalogue, environments, network, packages, process, store
from tools.environments import ENVIRONMENTS
from tools.progress import Step

VENDORS = ("aws",)
"""Also the names of the steps. A lock is called `pulumi-<vendor>`."""


def ready(vendor: str) -> str | None:
    """One sentence on the SDK if it is installed and the infra environment sees it, else None."""
    receipt = store.read_json(folder(vendor) / store.RECEIPT)
    path = _pth(vendor)
    if receipt is None or path is None or not path.exists() or path.read_text(encoding="utf-8") != _line(vendor):
        return None
    return receipt["package"]


def install(vendor: str, step: Step) -> str:
    """Install the SDK's wheel into the cache and let the infra environment see it."""
    place = folder(vendor)
    with store.exclusive(f"pulumi-{vendor}", f"which installs pulumi-{vendor}", step.say):
        if store.read_json(place / store.RECEIPT) is None:
            packages.room(step, place.parent, catalogue.NEEDED_MB["vendor"])
            store.sweep(place.parent, place.name)
            with store.appearing(place) as making:
                _unpack(vendor, making, step)
                store.write_json(making / store.RECEIPT, {"package": _pinned(vendor)})
    path = _pth(vendor)
    if path is not None:
        path.write_text(_line(vendor), encoding="utf-8")
    return ready(vendor) or "installed"


def folder(vendor: str) -> Path:
    """Where the SDK lies; another lock is another folder."""
    return catalogue.vendor_folder(vendor)


def _unpack(vendor: str, place: Path, step: Step) -> None:
    lock = catalogue.lock_file(f"pulumi-{vendor}")
    command = [packages.uv(step), "pip", "install", "--target", str(place), "--no-deps", "--require-hashes"]
    command += ["--python", network.base_python(), "-r", str(lock), *(["--no-index"] * network.without_index())]
    what = f"installing {_pinned(vendor)}"
    process.run(command, step, env=network.online_environment(), doing=what, timeout_seconds=900, online=True)


def _pinned(vendor: str) -> str:
    return catalogue.lock_file(f"pulumi-{vendor}").read_text(encoding="utf-8").split()[0].replace("==", " ")


def _pth(vendor: str) -> Path | None:
    """In the infra environment; None where that is not there yet."""
    infra = ENVIRONMENTS["infra"]
    return None if environments.broken(infra) else packages.site_packages(infra.folder) / f"isthmus-{vendor}.pth"


def _line(vendor: str) -> str:
    return f"{folder(vendor)}\n"
