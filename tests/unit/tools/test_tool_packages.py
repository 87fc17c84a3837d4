"""The person's own settings for pip and uv: indexes and proxies hold, what would install elsewhere does not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from tool_samples import program

from tools import network, packages
from tools.failure import SetupFailed
from tools.progress import Step


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person without any settings; returns the place for pip's file."""
    for name in (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_CERT",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "UV_INDEX",
        "UV_CONFIG_FILE",
        "SSL_CERT_FILE",
        "UV_INDEX_STRATEGY",
        "UV_FIND_LINKS",
        "UV_INSECURE_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    return tmp_path / "pip.conf"


@pytest.mark.parametrize(
    "name", ["PIP_TARGET", "PIP_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV", "PYTHONPATH"]
)
def test_a_setting_that_would_install_elsewhere_or_other_versions_is_left_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert name not in network.environment()


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_CACHE_DIR", "PIP_CERT", "NO_PROXY"]
)
def test_proxies_indexes_certificates_and_caches_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "value")
    assert network.environment()[name] == "value"


def test_what_is_set_for_pip_is_told_to_uv_and_a_variable_wins_over_a_file(
    nothing_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_set.write_text(
        "[global]\nindex-url = http://file.test/simple\ncert = /etc/ours.pem\nproxy = http://proxy.test:3128\n"
        "find-links = /not/there\n"
        "[install]\nextra-index-url =\n    http://one.test/simple\n    http://two.test/simple\n"
    )
    monkeypatch.setenv("PIP_INDEX_URL", "http://variable.test/simple")
    env = network.online_environment()
    assert env["UV_DEFAULT_INDEX"] == "http://variable.test/simple"
    assert env["UV_INDEX"] == "http://one.test/simple http://two.test/simple"
    assert env["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert env["SSL_CERT_FILE"] == env["REQUESTS_CA_BUNDLE"] == "/etc/ours.pem"
    assert env["HTTPS_PROXY"] == "http://proxy.test:3128"
    assert "UV_FIND_LINKS" not in env  # uv would refuse a folder that is not there


def test_what_is_set_for_uv_is_left_alone(nothing_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_set.write_text("[global]\nindex-url = http://file.test/simple\n")
    monkeypatch.setenv("UV_INDEX_URL", "http://uv.test/simple")
    env = network.online_environment()
    assert env["UV_INDEX_URL"] == "http://uv.test/simple"
    assert "UV_DEFAULT_INDEX" not in env


def test_a_python_without_its_venv_module_is_helped_by_a_uv_on_path_or_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = program(tmp_path / "bare" / "python3", "exit 1")
    monkeypatch.setattr(network, "base_python", lambda: str(bare))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SetupFailed, match=r"apt-get install python3-venv"):
        packages.uv(Step("infra", io.StringIO()))
    own = program(tmp_path / "bin" / "uv")
    assert packages.uv(Step("infra", io.StringIO())) == str(own)


def test_too_small_a_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(
        SetupFailed, match=r"^runtime: needs about 1000000\.0 GB on the disk that holds .* are free: make room"
    ):
        packages.room(Step("runtime", io.StringIO()), tmp_path / "not" / "there" / "yet", 1e9)
    packages.room(Step("runtime", io.StringIO()), tmp_path, 0.001)
