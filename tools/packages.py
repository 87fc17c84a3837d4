"""Install Python packages by their locks: pip brings uv once, uv does the rest.

The person's own proxies, indexes and certificates hold, whether they are set for pip or for uv. Settings of theirs that
would change what is installed, or where, do not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools import catalogue, folders, process, store
from tools.failure import SetupFailed
from tools.progress import Step, megabytes

_ELSEWHERE = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_ONLY_BINARY"),
    *("PIP_NO_DEPS", "PIP_EDITABLE", "PIP_DRY_RUN", "PIP_PYTHON", "PIP_BUILD_CONSTRAINT", "PIP_PRE"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT"),
    *("UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_PRERELEASE", "UV_FORK_STRATEGY", "UV_TORCH_BACKEND", "UV_NO_BINARY"),
    *("UV_NO_BUILD", "UV_NO_SOURCES", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR", "UV_MANAGED_PYTHON"),
    *("UV_VENV_CLEAR", "UV_VENV_SEED", "UV_CUSTOM_COMPILE_COMMAND", "UV_REQUIRE_HASHES", "UV_NO_VERIFY_HASHES"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"),
)
_FOR_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}


def base_python() -> str:
    """The interpreter to build environments on: never that of an environment which may be rebuilt."""
    return getattr(sys, "_base_executable", None) or sys.executable


def environment() -> dict[str, str]:
    """The person's environment variables less those that would install other packages, or elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    kept.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0", PIP_NO_INPUT="1")
    kept.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", NO_COLOR="1")
    return kept


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
            process.run([base_python(), "-m", "venv", str(making)], step, env=environment(), timeout_seconds=300)
            pip = [str(making / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--require-hashes"]
            process.run(
                [*pip, "--progress-bar", "off", "-r", str(catalogue.lock_file("uv"))],
                step,
                env=environment(),
                on_tick=lambda pid: step.doing("installing uv"),
                timeout_seconds=900,
            )
    return str(program)


def _can_make_environments() -> bool:
    probe = subprocess.run([base_python(), "-c", "import ensurepip, venv"], capture_output=True, timeout=60)
    return probe.returncode == 0


def _uv_of_the_person() -> str:
    """Debian ships Python without ensurepip; a uv on PATH will do, since the locks hold whichever uv reads them."""
    found = shutil.which("uv")
    if found is None:
        raise SetupFailed(
            f"{base_python()} cannot make virtual environments: install its venv module (on Debian and Ubuntu "
            "`apt-get install python3-venv`) or put uv on PATH, and run this again"
        )
    return found


def create(step: Step, folder: Path, *, relocatable: bool = False) -> None:
    """Make an empty virtual environment at `folder`, in place of what is there."""
    command = [uv(step), "venv", "--clear", "--python", base_python(), str(folder)]
    command += ["--relocatable"] * relocatable
    process.run(command, step, env=uv_environment(), cwd=folders.checkout(), timeout_seconds=300)


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
    process.run(command, step, env=uv_environment(), on_line=hear, on_tick=show, cwd=folders.checkout())


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
        env=environment(),
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


def uv_environment() -> dict[str, str]:
    """Where the person configured pip and not uv, uv is told the same."""
    env = environment()
    if any(name in env for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE", "UV_NO_INDEX")):
        return env
    if any(path.exists() for path in (Path.home() / ".config/uv/uv.toml", Path("/etc/uv/uv.toml"))):
        return env
    settings = _pip_settings()
    for key, variable in _FOR_UV.items():
        if settings.get(key):
            env.setdefault(variable, " ".join(settings[key].split()))
    if settings.get("cert"):
        env.setdefault("SSL_CERT_FILE", settings["cert"])
    # Every file is known by its hash, so it does not matter which of the person's indexes has it.
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return env


def _pip_settings() -> dict[str, str]:
    """What pip's variables and files say, with pip's own precedence; nothing where this Python has no pip."""
    listed = subprocess.run(
        [base_python(), "-m", "pip", "config", "list"], capture_output=True, text=True, env=environment(), timeout=60
    )
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found:
            found[section][key] = value.strip().strip("'\"").replace("\\n", " ")
    return {**found["global"], **found["install"], **found[":env:"]}
