"""A cloud's Pulumi SDK lies once in the cache and is seen by the environments that asked for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.tools.tool_samples import receipt
from tools import environments, folders, store, vendors
from tools.environments import ENVIRONMENTS
from tools.progress import Step


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages of a finished infra environment, in a checkout whose lock pins pulumi-aws 7.51.1."""
    root = tmp_path / "checkout"
    (root / "locks").mkdir(parents=True)
    (root / "locks" / "infra.txt").write_text("msgspec==0.22.0 \\\n    --hash=sha256:0\n")
    (root / "locks" / "pulumi-aws.txt").write_text("pulumi-aws==7.51.1 \\\n    --hash=sha256:0\n")
    monkeypatch.setattr(folders, "checkout", lambda: root)
    infra = ENVIRONMENTS["infra"]
    (infra.folder / "bin").mkdir(parents=True)
    (infra.folder / "bin" / "python").symlink_to(sys.executable)
    (infra.folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    packages = infra.folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    store.write_json(infra.folder / store.RECEIPT, {"wants": environments.wants(infra), "python": "", "packages": 1})
    return packages


def test_one_that_is_in_the_cache_is_only_shown_to_this_checkout(site: Path) -> None:
    receipt(vendors.folder("aws"), package="pulumi-aws 7.51.1")
    assert vendors.ready("aws") is None, "no environment sees it yet"
    assert vendors.install("aws", Step("aws")) == "pulumi-aws 7.51.1"
    assert (site / "isthmus-aws.pth").read_text() == f"{vendors.folder('aws')}\n"
    assert vendors.ready("aws") == "pulumi-aws 7.51.1"


def test_another_version_in_the_lock_is_another_folder(site: Path) -> None:
    receipt(vendors.folder("aws"), package="pulumi-aws 7.51.1")
    vendors.install("aws", Step("aws"))
    (folders.checkout() / "locks" / "pulumi-aws.txt").write_text("pulumi-aws==7.52.0 \\\n    --hash=sha256:1\n")
    assert vendors.ready("aws") is None


def test_an_environment_that_was_made_anew_is_shown_it_again(site: Path) -> None:
    receipt(vendors.folder("aws"), package="pulumi-aws 7.51.1")
    vendors.install("aws", Step("aws"))
    (site / "isthmus-aws.pth").unlink()
    assert vendors.ready("aws") is None


def test_every_vendor_is_locked_as_one_package_without_what_it_needs() -> None:
    for vendor in vendors.VENDORS:
        lock = (Path(__file__).resolve().parents[3] / "locks" / f"pulumi-{vendor}.txt").read_text()
        assert [line.split("==")[0] for line in lock.splitlines() if "==" in line] == [f"pulumi-{vendor}"]
