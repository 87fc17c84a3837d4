"""Folders, versions, licences and locks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import cache, catalogue, checkout, home, kafka

PYTHON_LOCKS = ("infra", "runtime", "servers", "mlflow", "dev", "uv", "go")


def test_the_cache_is_where_the_person_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    assert cache() == tmp_path
    assert home() == tmp_path / "home"
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("system", "shared", "expected"),
    [
        ("linux", "/var/tmp/caches", "/var/tmp/caches/isthmus"),
        ("linux", "relative", "HOME/.cache/isthmus"),
        ("linux", "", "HOME/.cache/isthmus"),
        ("darwin", "/var/tmp/caches", "HOME/Library/Caches/isthmus"),
    ],
)
def test_else_it_is_where_the_platform_keeps_caches(
    system: str, shared: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISTHMUS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", shared)
    monkeypatch.setattr("sys.platform", system)
    assert str(cache()) == expected.replace("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("7.0.15\n", (7, 0, 15)),
        ("3.200.0-alpha.1", (3, 200, 0)),
        ("1.26rc1", (1, 26)),
        ("", ()),
    ],
)
def test_versions_compare_by_number(text: str, numbers: tuple[int, ...]) -> None:
    assert catalogue.parse_version(text) == numbers


@pytest.mark.parametrize(
    ("version", "licence"),
    [
        ("6.2.14", "BSD-3-Clause"),
        ("7.2.9", "BSD-3-Clause"),
        ("7.4.0", "RSALv2 OR SSPL-1.0"),
        ("8.0.1", "RSALv2 OR SSPL-1.0 OR AGPL-3.0-only"),
    ],
)
def test_the_licence_of_a_redis_depends_on_its_version(version: str, licence: str) -> None:
    assert catalogue.redis_licence(version, valkey=False) == licence
    assert catalogue.redis_licence(version, valkey=True) == "BSD-3-Clause"


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_every_locked_package_is_exact_and_hashed_and_no_address_is_named(name: str) -> None:
    text = catalogue.lock_file(name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+( ; .+)? \\\n", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_kafka_is_locked_to_the_last_jar() -> None:
    jars = kafka.jars()
    assert any(jar.coordinates == f"org.apache.kafka:kafka_2.13:{catalogue.KAFKA_VERSION}" for jar in jars)
    ours = {jar.coordinates.split(":")[2] for jar in jars if jar.coordinates.startswith("org.apache.kafka:")}
    assert ours == {catalogue.KAFKA_VERSION}  # a resolver once mixed in an older client
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) and jar.size_bytes > 0 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)


def test_the_engine_is_pinned_to_the_version_that_the_catalogue_names() -> None:
    module = (checkout() / "tools" / "engine_build" / "go.mod").read_text()
    assert f"require github.com/pulumi/pulumi/pkg/v3 v{catalogue.ENGINE_VERSION}\n" in module
