"""The environment variables that programs which install things are given.

The person's own proxies, indexes and certificates hold, whether they are set for pip or for uv. Settings of theirs that
would change what is installed, or where, do not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ELSEWHERE = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_ONLY_BINARY"),
    *("PIP_NO_DEPS", "PIP_EDITABLE", "PIP_DRY_RUN", "PIP_PYTHON", "PIP_BUILD_CONSTRAINT", "PIP_PRE"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT"),
    *("UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_PRERELEASE", "UV_FORK_STRATEGY", "UV_TORCH_BACKEND", "UV_NO_BINARY"),
    *("UV_NO_BUILD", "UV_NO_SOURCES", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR", "UV_MANAGED_PYTHON"),
    *("UV_VENV_CLEAR", "UV_VENV_SEED", "UV_CUSTOM_COMPILE_COMMAND", "UV_REQUIRE_HASHES", "UV_NO_VERIFY_HASHES"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"),
)
_SET_FOR_UV = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")
_NO = ("", "0", "false", "no", "off")


def base_python() -> str:
    """The interpreter to build environments on: never that of an environment which may be rebuilt."""
    return getattr(sys, "_base_executable", None) or sys.executable


def environment() -> dict[str, str]:
    """The person's environment variables less those that would install other packages, or elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    kept.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0", PIP_NO_INPUT="1")
    kept.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", NO_COLOR="1")
    return kept


def online_environment() -> dict[str, str]:
    """The same, and what the person configured for pip told to uv, to Go and to Python's requests as well."""
    env = environment()
    pip = _pip_settings()
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        _default(env, name, pip.get("cert"))
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        if name.lower() not in env:
            _default(env, name, pip.get("proxy"))
    files = (Path.home() / ".config" / "uv" / "uv.toml", Path("/etc/uv/uv.toml"))
    if any(name in env for name in _SET_FOR_UV) or any(path.exists() for path in files):
        return env
    _default(env, "UV_DEFAULT_INDEX", pip.get("index-url"))
    _default(env, "UV_INDEX", pip.get("extra-index-url"))
    _default(env, "UV_INSECURE_HOST", pip.get("trusted-host"))
    # pip passes over a folder of wheels that is not there; uv does not.
    links = [link for link in pip.get("find-links", "").split() if "://" in link or Path(link).expanduser().exists()]
    _default(env, "UV_FIND_LINKS", ",".join(links))
    # Every file is known by its hash, so it does not matter which of the person's indexes has it.
    _default(env, "UV_INDEX_STRATEGY", "unsafe-best-match")
    return env


def without_index() -> bool:
    """Whether the person told pip to look at no index: uv has a flag for that and no variable."""
    return os.environ.get("PIP_NO_INDEX", "").lower() not in _NO


def _default(env: dict[str, str], name: str, value: str | None) -> None:
    if value:
        env.setdefault(name, value)


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
            found[section][key] = " ".join(value.strip().strip("'\"").replace("\\n", " ").split())
    return {**found["global"], **found["install"], **found[":env:"]}
