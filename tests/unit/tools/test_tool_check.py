"""One line for each part, with what to do, and a status that a script can use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tool_samples import program, receipt

from tools import catalogue, check, programs


def found(part: str) -> check.Finding:
    """What `check` says of one part."""
    return next(one for one in check.check() if one.part == part)


def test_what_is_missing_says_what_to_type_and_the_status_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    missing = next(line for line in lines if " kafka " in line)
    assert missing.startswith("MISSING")
    assert missing.endswith("run `python3 tools/bootstrap.py kafka`")


def test_what_only_tests_need_is_reported_and_not_missed() -> None:
    mlflow = found("mlflow")
    assert (mlflow.ok, mlflow.found) == (True, "not installed")
    assert mlflow.advice == "run `python3 tools/bootstrap.py mlflow`"


def test_every_tool_of_the_catalogue_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    check.main(["--json"])
    parts = [one["part"] for one in json.loads(capsys.readouterr().out)]
    assert [part for part in parts if part in catalogue.TOOLS] == list(catalogue.TOOLS)


def test_the_status_is_zero_when_nothing_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "check", lambda: [check.Finding("kafka", True, "4.3.1", advice="a word")])
    assert check.main([]) == 0
    assert capsys.readouterr().out == "ok  kafka  4.3.1      a word\n"


@pytest.mark.parametrize(("version", "plain"), [("7.0.15", True), ("7.4.2", False), ("8.2.0", False)])
def test_a_redis_under_a_licence_that_is_not_permissive_is_pointed_out(
    version: str, plain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt(catalogue.servers_folder(), programs={})
    (catalogue.servers_folder() / "bin").mkdir()
    (catalogue.servers_folder() / "bin" / "python").touch()
    program(tmp_path / "bin" / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    programs.note_on_path("redis-server", lambda _: version)
    finding = found("redis-server")
    assert (finding.found, finding.source) == (version, "PATH")
    assert ("not a permissive one" in finding.advice) is not plain


def test_javas_licence_is_explained() -> None:
    assert "exception for the programs that run on it" in check.licence_note(catalogue.TOOLS["java"].licence)


def test_a_cache_that_cannot_be_written_says_how_to_choose_another(cache: Path) -> None:
    cache.touch()
    finding = found("cache")
    assert not finding.ok
    assert "set ISTHMUS_CACHE" in finding.advice


def test_a_disk_too_small_for_what_is_missing_says_how_much_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.NEEDED_MB, "kafka", 1e9)
    findings = [one for one in check.check() if one.part == "disk"]
    assert [one.ok for one in findings] == [True, False]
    assert re.search(r"needs 10000\d\d\.\d GB: make room", findings[1].advice)


def test_ports_are_counted_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("ports").ok
    taken = 0

    def none_left(address: object) -> object:
        nonlocal taken
        taken += 1
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(check.socket, "create_server", none_left)
    finding = found("ports")
    assert (finding.ok, finding.found, taken) == (False, "0 free on 127.0.0.1: Address already in use", 1)


def test_looking_changes_nothing(cache: Path) -> None:
    cache.mkdir()
    check.check()
    assert list(cache.iterdir()) == []
