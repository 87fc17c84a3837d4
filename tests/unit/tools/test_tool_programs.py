"""Where each program is found, which one wins, and what is said when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tool_samples import program, receipt

from tools import ToolMissing, catalogue, checkout, folders, locate, programs


@pytest.fixture
def servers(cache: Path) -> Path:
    """A cache in which the servers are installed."""
    return receipt(
        catalogue.servers_folder(),
        programs={
            "seaweedfs": {"path": "bin/weed", "version": "4.48"},
            "redis-server": {"path": "bin/redis-server", "version": "6.2.14"},
            "java": {"path": "java/bin/java", "version": "25.0.2"},
        },
    )


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_cached_server_comes_with_its_version_and_licence(servers: Path) -> None:
    found = locate("seaweedfs")
    assert found.argv == (str(servers / "bin" / "weed"),)
    assert (found.version, found.licence, found.source) == ("4.48", "Apache-2.0", "cache")


@pytest.mark.parametrize(
    "name", [name for name, tool in catalogue.TOOLS.items() if tool.step not in ("", "infra", "runtime")]
)
def test_what_is_not_installed_says_what_to_type(name: str, path: Path) -> None:
    step = catalogue.TOOLS[name].step
    with pytest.raises(ToolMissing, match=rf"^{name} is not installed: run `python3 tools/bootstrap.py {step}`$"):
        locate(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"no tool is called 'zookeeper': expected one of python-infra, .*kafka"):
        locate("zookeeper")


def test_kafka_is_java_with_every_jar_so_that_a_main_class_follows(servers: Path) -> None:
    folder = receipt(catalogue.kafka_folder(), version="4.3.1", jars=["a.jar", "b.jar"])
    found = locate("kafka")
    assert found.argv[0] == str(servers / "java/bin/java")
    assert found.argv[-2:] == ("-cp", f"{folder}/jars/a.jar:{folder}/jars/b.jar")
    assert not any(argument.startswith(("-Xm", "-XX:SharedArchiveFile")) for argument in found.argv)
    (folder / catalogue.KAFKA_ARCHIVE).touch()
    assert f"-XX:SharedArchiveFile={folder / catalogue.KAFKA_ARCHIVE}" in locate("kafka").argv


def test_mlflow_is_an_interpreter_of_its_own_so_that_a_command_follows(cache: Path) -> None:
    folder = receipt(catalogue.mlflow_folder(), version="3.17.2", packages=64)
    found = locate("mlflow")
    assert found.argv == (str(folder / "bin/python"), "-m", "mlflow")
    assert (found.version, found.licence, found.source) == ("3.17.2", "Apache-2.0", "cache")


def test_kafka_without_java_is_missing(cache: Path) -> None:
    receipt(catalogue.kafka_folder(), version="4.3.1", jars=[])
    with pytest.raises(ToolMissing):
        locate("kafka")


def test_the_redis_of_the_person_wins_once_its_version_is_known(servers: Path, path: Path) -> None:
    own = program(path / "redis-server")
    assert locate("redis-server").source == "cache"
    programs.note_on_path("redis-server", lambda _: "7.0.15")
    found = locate("redis-server")
    assert (found.argv, found.version, found.licence, found.source) == ((str(own),), "7.0.15", "BSD-3-Clause", "PATH")


def test_a_program_on_path_is_asked_its_version_only_when_it_changed(path: Path) -> None:
    own = program(path / "redis-server")
    asked: list[str] = []
    for content in ("exit 0", "exit 0", "exit 0 # upgraded"):
        if own.read_text() != f"#!/bin/sh\n{content}\n":
            program(own, content)
        programs.note_on_path("redis-server", lambda where: asked.append(where) or "7.0.15")
    assert asked == [str(own), str(own)]


def test_a_changed_program_on_path_is_not_believed_before_it_was_asked_again(servers: Path, path: Path) -> None:
    own = program(path / "redis-server")
    programs.note_on_path("redis-server", lambda _: "7.0.15")
    program(own, "exit 1 # another one")
    assert locate("redis-server").source == "cache"


@pytest.mark.parametrize(("version", "source"), [("6.0.16", "cache"), ("6.2.0", "PATH"), ("", "cache")])
def test_a_redis_too_old_or_without_a_version_is_passed_over(
    servers: Path, path: Path, version: str, source: str
) -> None:
    program(path / "redis-server")
    programs.note_on_path("redis-server", lambda _: version)
    assert locate("redis-server").source == source


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_valkey_is_a_redis_under_a_permissive_licence_by_either_name(servers: Path, path: Path, name: str) -> None:
    if name == "redis-server":
        (path / name).symlink_to(program(path.parent / "opt" / "valkey-server"))
    else:
        program(path / name)
    programs.note_on_path(name, lambda _: "9.1.2")
    found = locate("redis-server")
    assert (found.argv, found.licence) == ((str(path / name),), "BSD-3-Clause")


@pytest.mark.parametrize(("version", "source"), [("3.199.0", "cache"), ("3.200.0", "PATH"), ("4.0.0", "PATH")])
def test_the_engine_of_the_person_wins_where_it_is_new_enough(path: Path, version: str, source: str) -> None:
    receipt(catalogue.engine_folder(), version="3.259.0")
    program(path / "pulumi")
    programs.note_on_path("pulumi", lambda _: version)
    assert locate("pulumi").source == source


def test_the_engine_finds_the_official_language_host_before_ours(path: Path) -> None:
    receipt(catalogue.engine_folder(), version="3.259.0")
    assert locate("pulumi").env["PATH"] == f"{path}:{programs.language_host_folder()}"
    assert locate("pulumi-language-python").source == "checkout"
    official = program(path / "pulumi-language-python")
    assert locate("pulumi-language-python").argv == (str(official),)


def test_the_interpreters_are_those_of_this_checkout() -> None:
    assert locate("python-infra").argv == (str(checkout() / ".venv" / "bin" / "python"),)
    assert locate("python-infra").version.startswith("3.")


def test_locating_takes_under_five_milliseconds_and_runs_nothing(servers: Path) -> None:
    receipt(catalogue.kafka_folder(), version="4.3.1", jars=["a.jar"])
    receipt(catalogue.engine_folder(), version="3.259.0")
    code = (
        "import json, sys, time; from tools import catalogue, locate\n"
        "ran = []; sys.addaudithook(lambda event, _: event in "
        "('subprocess.Popen', 'os.fork', 'os.exec', 'os.posix_spawn', 'socket.connect') and ran.append(event))\n"
        "took = {}\n"
        "for name in ('pulumi', 'seaweedfs', 'redis-server', 'java', 'kafka', 'python-infra'):\n"
        "    runs = []\n"
        "    for _ in range(5):\n"
        "        begun = time.perf_counter(); locate(name); runs.append(time.perf_counter() - begun)\n"
        "    took[name] = min(runs)\n"
        "print(json.dumps([ran, took, 'subprocess' in sys.modules]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folders.checkout())}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ran, took, imported = json.loads(said.stdout)
    assert ran == []
    assert not imported
    assert max(took.values()) < 0.005, took
