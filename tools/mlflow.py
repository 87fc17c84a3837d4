"""An MLflow server without its page, for tests: its packages clash with those of every environment of ours."""

from __future__ import annotations

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
    folder = catalogue.mlflow_folder()
    with store.exclusive("mlflow", "which installs the MLflow server", step.say):
        done = ready()
        if done:
            return done
        packages.room(step, folder.parent, catalogue.NEEDED_MB["mlflow"])
        store.sweep(folder.parent, folder.name)
        with store.appearing(folder) as making:
            packages.create(step, making, relocatable=True)
            packages.sync(step, making, "mlflow")
            installed = [path.stem.split("-") for path in packages.site_packages(making).glob("*.dist-info")]
            receipt = {"version": dict(installed)["mlflow_skinny"], "packages": len(installed)}
            store.write_json(making / store.RECEIPT, receipt)
    return ready() or "installed"
