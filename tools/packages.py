"""Install Python packages by their locks: pip brings uv once, uv does the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tools import catalogue, folders, network, process, store
from tools.failure import SetupFailed
from tools.progress import Step, megabytes


def uv(step: Step) -> str:
    """The path of the pinned uv, installed into the cache at the first call."""
    pinned = catalogue.lock_file("uv").read_text(encoding="utf-8").split()[0]
    folder = folders.installed() / pinned.replace("==", "-")
    program = folder / "bin" / "uv"
    if program.exists():
        return str(program)
    with store.exclusive("uv", "which installs uv", step.say):
        if program.exists():
            return str(program)
        if not _can_make_environments():
            return _uv_of_the_person()
        store.sweep(folder.parent, folder.name)
        with store.appearing(folder) as making:
            step.say(f"installing {pinned.replace('==', ' ')}")
            env = network.environment()
            venv = [network.base_python(), "-m", "venv", str(making)]
            process.run(venv, step, env=env, doing="installing uv", timeout_seconds=300)
            pip = [str(making / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--require-hashes"]
            pip += ["--progress-bar", "off", "-r", str(catalogue.lock_file("uv"))]
            process.run(pip, step, env=env, doing="installing uv", timeout_seconds=900, online=True)
    return str(program)


def _can_make_environments() -> bool:
    probe = subprocess.run([network.base_python(), "-c", "import ensurepip, venv"], capture_output=True, timeout=60)
    return probe.returncode == 0


def _uv_of_the_person() -> str:
    """Debian ships Python without ensurepip; a uv on PATH will do, since the locks hold whichever uv reads them."""
    found = shutil.which("uv")
    if found is None:
        raise SetupFailed(
            f"{network.base_python()} cannot make virtual environments: install its venv module (on Debian and Ubuntu "
            "`apt-get install python3-venv`) or put uv on PATH, and run this again"
        )
    return found


def create(step: Step, folder: Path, *, relocatable: bool = False) -> None:
    """Make an empty virtual environment at `folder`, in place of what is there."""
    command = [uv(step), "venv", "--clear", "--python", network.base_python(), str(folder)]
    command += ["--relocatable"] * relocatable
    what = f"making {folder.name}"
    process.run(command, step, env=network.environment(), doing=what, cwd=folders.checkout(), timeout_seconds=300)


def sync(step: Step, folder: Path, lock: str) -> None:
    """Make the packages of the environment at `folder` exactly those of `locks/<lock>.txt`."""
    total_mb = catalogue.NEEDED_MB[lock]
    started = time.monotonic()

    def show(pid: int) -> None:
        written = process.written_bytes(pid)
        if written is None:
            step.doing("installing packages")
        else:
            rate = megabytes(written / max(time.monotonic() - started, 0.1))
            step.doing(f"installing packages: {megabytes(written)} written, {rate}/s", written / (total_mb * 1e6))

    def hear(line: str) -> None:
        if line.startswith(("Resolved", "Prepared", "Installed", "Uninstalled", "Bytecode compiled", "Downloading")):
            step.doing(line[0].lower() + line[1:])

    command = [uv(step), "pip", "sync", "--python", str(folder / "bin" / "python"), "--require-hashes"]
    command.append(str(catalogue.lock_file(lock)))
    command += ["--no-index"] * network.without_index()
    env = network.online_environment()
    process.run(command, step, env=env, on_line=hear, on_tick=show, cwd=folders.checkout(), online=True)


def install_in_cache(
    name: str,
    folder: Path,
    purpose: str,
    step: Step,
    *,
    ready: Callable[[], str | None],
    receipt: Callable[[Path], dict[str, object]],
) -> str:
    """Make an environment of `locks/<name>.txt` at `folder` in the cache, unless it is `ready`; what that then says.

    `purpose` is told to whoever waits meanwhile; `receipt` is given the folder of the finished packages.
    """
    with store.exclusive(name, purpose, step.say):
        if done := ready():
            return done
        room(step, folder.parent, catalogue.NEEDED_MB[name])
        store.sweep(folder.parent, folder.name)
        with store.appearing(folder) as making:
            create(step, making, relocatable=True)
            sync(step, making, name)
            store.write_json(making / store.RECEIPT, receipt(making))
    return ready() or "installed"


def compile_bytecode(step: Step, folder: Path) -> None:
    """Compile what was installed, tests aside: without it the first imports take two to three times as long.

    Some packages carry files that are meant for another Python, so a file that does not compile is no failure.
    """
    site = site_packages(folder)
    total = sum(name.endswith(".py") for _, _, names in os.walk(site) for name in names)
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        done += line.startswith("Compiling ")

    command = [str(folder / "bin" / "python"), "-m", "compileall", "-j", "0", "-x", r"/tests?/", str(site)]
    process.run(
        command,
        step,
        env=network.environment(),
        on_line=hear,
        on_tick=lambda pid: step.doing(f"compiling bytecode: {done} of {total} files", done / max(total, 1)),
        good=(0, 1),
    )


def site_packages(folder: Path) -> Path:
    """Where the packages of the environment at `folder` lie."""
    return next((folder / "lib").glob("python3.*")) / "site-packages"


def room(step: Step, place: Path, needed_mb: float) -> None:
    """Refuse to begin where the disk that will hold `place` has less than `needed_mb` megabytes free."""
    while not place.exists():
        place = place.parent
    free_mb = shutil.disk_usage(place).free / 1e6
    if free_mb < needed_mb:
        raise SetupFailed(
            f"{step.name}: needs about {megabytes(needed_mb * 1e6)} on the disk that holds {place}, and "
            f"{megabytes(free_mb * 1e6)} are free: make room and run this again"
        )
