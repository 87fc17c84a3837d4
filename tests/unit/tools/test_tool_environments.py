"""An environment is up to date only while its lock, its checkout and its interpreter are what they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import environments, folders, store
from tools.environments import Environment


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A finished environment in a checkout of its own, in a folder with a space in its name."""
    root = tmp_path / "my checkout"
    (root / "locks").mkdir(parents=True)
    (root / "locks" / "infra.txt").write_text("msgspec==0.22.0 \\\n    --hash=sha256:0\n")
    monkeypatch.setattr(folders, "checkout", lambda: root)
    made = Environment("infra", ".venv")
    (made.folder / "bin").mkdir(parents=True)
    (made.folder / "bin" / "python").symlink_to(sys.executable)
    (made.folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    stamp = {"wants": environments.wants(made), "python": "3.11.7", "packages": 1}
    store.write_json(made.folder / store.RECEIPT, stamp)
    return made


def test_it_says_what_it_is(environment: Environment) -> None:
    assert environments.ready(environment) == "Python 3.11.7, 1 packages"
    assert not environments.broken(environment)


def test_a_changed_lock_makes_it_stale_but_not_broken(environment: Environment) -> None:
    (folders.checkout() / "locks" / "infra.txt").write_text("msgspec==0.23.0 \\\n    --hash=sha256:1\n")
    assert environments.ready(environment) is None
    assert not environments.broken(environment)


def test_a_moved_checkout_needs_it_anew(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = folders.checkout().rename(folders.checkout().parent / "moved")
    monkeypatch.setattr(folders, "checkout", lambda: moved)
    assert environments.ready(environment) is None
    assert environments.broken(environment)


def test_an_interpreter_that_was_removed_needs_it_anew(environment: Environment) -> None:
    (environment.folder / "bin" / "python").unlink()
    (environment.folder / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert environments.ready(environment) is None
    assert environments.broken(environment)


def test_one_left_half_made_needs_it_anew(environment: Environment) -> None:
    (environment.folder / environments.UNFINISHED).touch()
    assert environments.broken(environment)


def test_two_checkouts_do_not_wait_for_each_other(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    key = environment.key
    monkeypatch.setattr(folders, "checkout", lambda: Path("/elsewhere"))
    assert environment.key != key


def test_the_console_script_starts_from_a_folder_with_a_space_in_its_name(environment: Environment) -> None:
    (folders.checkout() / "greeter.py").write_text("import sys\ndef main():\n    print(sys.argv[1:])\n    return 3\n")
    script = environment.folder / "bin" / "greet"
    environments.write_script(script, environment.folder / "bin" / "python", "greeter:main")
    done = subprocess.run(
        [script, "a b", "c"], capture_output=True, text=True, env={"PYTHONPATH": str(folders.checkout())}, check=False
    )
    assert (done.stdout, done.returncode) == ("['a b', 'c']\n", 3)
