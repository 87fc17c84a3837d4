"""What `locate` gives really starts on this machine, and is what it says it is."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tools import catalogue, checkout, locate
from tools.check import check


def said(*argv: str, **environment: str) -> str:
    """What a program prints when it ends well."""
    done = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "before", "after"),
    [
        ("pulumi", ["version"], "v", "\n"),
        ("seaweedfs", ["version"], "GB ", " "),
        ("redis-server", ["--version"], " server v=", " "),
        ("java", ["--version"], "openjdk ", " "),
        ("kafka", ["kafka.Kafka", "--version"], "", "\n"),
        ("python-infra", ["--version"], "Python ", "\n"),
        ("python-runtime", ["--version"], "Python ", "\n"),
    ],
)
def test_a_located_program_starts_and_is_the_version_it_is_said_to_be(
    name: str, arguments: list[str], before: str, after: str
) -> None:
    program = locate(name)
    assert program.version
    assert f"{before}{program.version}{after}" in said(*program.argv, *arguments, **program.env)


def test_the_gcs_server_starts_and_is_the_version_that_go_wrote_into_it() -> None:
    program = locate("fake-gcs-server")
    usage = subprocess.run([*program.argv, "-h"], capture_output=True, text=True, timeout=60, check=False)
    assert "-filesystem-root" in usage.stderr
    with open(program.argv[0], "rb") as content:
        assert f"github.com/fsouza/fake-gcs-server\tv{program.version}".encode() in content.read()


def test_kafka_starts_from_the_archive_of_its_classes() -> None:
    java, *arguments = locate("kafka").argv
    loaded = said(java, "-Xlog:class+load", *arguments, "kafka.Kafka", "--version")
    assert "kafka.Kafka source: shared objects file (top)" in loaded


def test_the_language_host_is_there_to_be_run_by_the_engine() -> None:
    assert os.access(locate("pulumi-language-python").argv[0], os.X_OK)


@pytest.mark.parametrize("name", ["python-infra", "python-runtime"])
def test_the_checkout_can_be_imported_from_anywhere(name: str) -> None:
    where = said(*locate(name).argv, "-c", "import os; os.chdir('/'); import adapters; print(adapters.__file__)")
    assert where.strip() == str(checkout() / "adapters" / "__init__.py")


def test_a_ready_machine_is_left_as_it_is_at_hardly_any_cost() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said_of_all = said(sys.executable, str(checkout() / "tools" / "bootstrap.py"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "(installed in" not in said_of_all
    assert len(said_of_all.splitlines()) == 5
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5  # CPU seconds; about 0.12 alone


def test_no_network_is_one_sentence_and_leaves_nothing_that_could_be_taken_for_kafka(tmp_path: Path) -> None:
    servers = catalogue.servers_folder()
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / servers.name).symlink_to(servers)
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, str(checkout() / "tools" / "bootstrap.py"), "kafka"],
        env={**os.environ, **nowhere, "NO_PROXY": "", "no_proxy": "", "ISTHMUS_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: kafka: python could not reach its package index: check the network")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "tools" / catalogue.kafka_folder().name).exists()


def test_check_finds_nothing_missing_after_a_bootstrap() -> None:
    assert [finding for finding in check() if not finding.ok] == []
