"""What the command line says of words, files and folders that will not do: one sentence, no traceback, nothing touched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import tools
from cli import main

Say = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet, on a machine that has an engine; none of these commands gets so far as to run it."""
    monkeypatch.setattr(tools, "locate", lambda name: SimpleNamespace(argv=(f"/nowhere/{name}",), env={}))
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CLOUD_PROVIDER", raising=False)
    return tmp_path / "home"


@pytest.fixture
def refused(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command that has to be refused with this exit code; what it said."""

    def run(code: int, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["isthmus", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (code, "")
        assert said.err.startswith("isthmus: ") and "Traceback" not in said.err
        return said.err

    return run


@pytest.mark.parametrize("command", ["up", "down", "status", "plan", "env", "settings"])
def test_an_unknown_stack_is_refused_by_every_command_with_those_there_are(
    command: str, home: Path, refused: Say
) -> None:
    said = refused(2, command, "-s", "nosuch")
    assert "no stack 'nosuch': there is local" in said
    assert not home.exists()


def test_a_stack_is_never_a_path(refused: Say) -> None:
    assert "no stack '../stacks/local'" in refused(2, "status", "-s", "../stacks/local")


def test_settings_of_an_unknown_cloud_are_refused_with_the_known_ones(refused: Say) -> None:
    assert "onprem" in refused(2, "settings", "--cloud", "mars")


def test_a_home_that_cannot_be_written_is_named_by_its_variable(home: Path, refused: Say) -> None:
    home.write_text("a file, not a folder")
    assert "ISTHMUS_HOME" in refused(1, "env")


def test_a_damaged_state_is_named_with_what_to_do(home: Path, refused: Say) -> None:
    state = home / "state" / ".pulumi" / "stacks" / "isthmus" / "local.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"checkpoint": ')
    said = refused(1, "status")
    assert str(state) in said and ".bak" in said
