"""An MLflow server without its page, for tests: its packages clash with those of every environment of ours."""

from __future__ import annotations

from pathlib import Path

from tools import catalogue, packages, store
from tools.progress import Step


def ready() -> str | None:
    """One sentence on the server if it is installed, else None."""
    folder = catalogue.mlflow_folder()
    receipt = store.read_json(folder / store.RECEIPT)
    if receipt is None or not (folder / "bin" / "python").exists():
        return None
    return f"{receipt['version']}, {receipt['packages']} packages"


def install(step: Step) -> str:
    """Install the wheels of `locks/mlflow.txt` into the cache. The first start compiles the third of them it uses."""
    return packages.install_in_cache(
        "mlflow",
        catalogue.mlflow_folder(),
        "which installs the MLflow server",
        step,
        ready=ready,
        receipt=_receipt,
    )


def _receipt(folder: Path) -> dict[str, object]:
    installed = [path.stem.split("-") for path in packages.site_packages(folder).glob("*.dist-info")]
    return {"version": dict(installed)["mlflow_skinny"], "packages": len(installed)}
