"""Records are whole or absent, logs bounded, and only processes that are ours are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from adapters.drivers.launcher import supervisor


def test_a_record_is_readable_by_its_owner_alone_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "final.json"
    for number in (1, 2):
        supervisor.write_json(path, {"number": number})
        assert json.loads(path.read_text()) == {"number": number}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_keeps_its_newest_part_within_bounds(tmp_path: Path) -> None:
    log = supervisor.Log(tmp_path)
    chunk = b"x" * 60_000
    for number in range(300):  # 18 MB
        log.write(chunk + b"%4d\n" % number)
    log.close()
    newest, older = (tmp_path / supervisor.LOG).read_bytes(), (tmp_path / supervisor.OLDER_LOG).read_bytes()
    assert newest.endswith(b"299\n")
    assert supervisor.LOG_BYTES <= len(newest) + len(older) + len(chunk) <= 2 * supervisor.LOG_BYTES + len(chunk)
    numbers = [int(line[-4:]) for line in (older + newest).splitlines()]
    assert numbers == list(range(300 - len(numbers), 300))


def test_a_session_holds_its_own_processes_and_no_others() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as other:
        assert supervisor.session_members(other.pid) == [other.pid]
        assert other.pid not in supervisor.session_members(os.getsid(0))
        assert os.getpid() not in supervisor.session_members(os.getsid(0))
        other.kill()


def test_killing_all_ends_every_process_that_is_found() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as other:
        supervisor.kill_all(lambda: supervisor.session_members(other.pid))
        assert other.wait(10) == -9


def test_the_start_of_a_process_tells_it_from_another() -> None:
    assert supervisor.start_mark(os.getpid()) == supervisor.start_mark(os.getpid()) != ""
    assert supervisor.start_mark(2**22 + 1) == ""


def test_the_supervisor_runs_without_any_installed_package_and_says_why_it_cannot_start(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", supervisor.__file__, str(tmp_path / "absent")]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
    assert said.startswith("FileNotFoundError") and "task.json" in said
