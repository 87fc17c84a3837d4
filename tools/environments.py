"""The checkout's virtual environments: each exactly as its lock says, with this checkout importable in it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from tools import catalogue, folders, packages, store
from tools.failure import Unreachable
from tools.progress import Step

UNFINISHED = ".isthmus-unfinished"


@dataclass(frozen=True)
class Environment:
    """A virtual environment in the checkout; `lock` is also the name of the step that makes it."""

    lock: str
    folder_name: str
    scripts: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return folders.checkout() / self.folder_name

    @property
    def key(self) -> str:
        """The name of its lock in the cache, where every checkout has its own."""
        return f"{self.lock}-{zlib.crc32(os.fsencode(self.folder)):08x}"


ENVIRONMENTS = {
    environment.lock: environment
    for environment in (
        Environment("infra", ".venv", scripts=(("isthmus", "cli.main:main"),)),
        Environment("runtime", ".venv-runtime"),
        Environment("dev", ".venv-dev"),
    )
}


def ready(environment: Environment) -> str | None:
    """One sentence on the environment if it is up to date, else None. Costs a millisecond."""
    stamp = store.read_json(environment.folder / store.RECEIPT)
    if stamp is None or stamp.get("wants") != wants(environment) or not _runs(environment):
        return None
    return f"Python {stamp['python']}, {stamp['packages']} packages"


def install(environment: Environment, step: Step) -> str:
    """Bring the environment up to date; one that an earlier run left in the middle is made anew."""
    folder = environment.folder
    with store.exclusive(environment.key, f"which installs {environment.folder_name}", step.say):
        done = ready(environment)
        if done:
            return done
        store.sweep(folder.parent, folder.name)
        with store.writable(folder.parent):
            if broken(environment):
                remove(environment)
                packages.room(step, folder, catalogue.NEEDED_MB[environment.lock])
                packages.create(step, folder)
            _bring_up_to_date(environment, step)
        return ready(environment) or "installed"


def _bring_up_to_date(environment: Environment, step: Step) -> None:
    folder = environment.folder
    (folder / UNFINISHED).touch()
    (folder / store.RECEIPT).unlink(missing_ok=True)
    try:
        packages.sync(step, folder, environment.lock)
    except Unreachable:
        (folder / UNFINISHED).unlink()  # it is what it was, and good until its index answers again
        raise
    packages.compile_bytecode(step, folder)
    site = packages.site_packages(folder)
    (site / "isthmus.pth").write_text(f"{folders.checkout()}\n", encoding="utf-8")
    for name, entry in environment.scripts:
        write_script(folder / "bin" / name, folder / "bin" / "python", entry)
    stamp = {
        "wants": wants(environment),
        "python": _python_version(folder),
        "packages": len(list(site.glob("*.dist-info"))),
    }
    store.write_json(folder / store.RECEIPT, stamp)
    (folder / UNFINISHED).unlink()


def broken(environment: Environment) -> bool:
    """Whether to begin anew: it is not there, was left half-made, lost its interpreter, or was moved here."""
    folder = environment.folder
    stamp = store.read_json(folder / store.RECEIPT) or {}
    moved = stamp.get("wants", {}).get("checkout", str(folders.checkout())) != str(folders.checkout())
    return (folder / UNFINISHED).exists() or not _runs(environment) or moved


def wants(environment: Environment) -> dict[str, str]:
    """What the environment has to be made from; the stamp of a finished one says the same."""
    return {"lock": catalogue.lock_digest(environment.lock), "checkout": str(folders.checkout()), "recipe": "1"}


def _runs(environment: Environment) -> bool:
    """Whether its interpreter is still there: `bin/python` is a link to the system's, which may have been removed."""
    return (environment.folder / "bin" / "python").exists() and (environment.folder / "pyvenv.cfg").exists()


def _python_version(folder: Path) -> str:
    for line in (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version_info", "version"):
            return value.strip()
    return ""


def write_script(path: Path, python: Path, entry: str) -> None:
    """A console script that starts under any length of path and with spaces in it, which a plain `#!` line cannot."""
    module, _, function = entry.partition(":")
    path.write_text(
        "#!/bin/sh\n"
        f'\'\'\'exec\' "{python}" "$0" "$@"\n'
        "' '''\n"
        "import sys\n\n"
        f"from {module} import {function}\n\n"
        f"sys.exit({function}())\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def remove(environment: Environment) -> int:
    """Delete the environment; returns the bytes that were freed."""
    store.sweep(environment.folder.parent, environment.folder_name)
    return store.remove(environment.folder)
