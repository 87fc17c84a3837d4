"""Runs of the engine that end in the middle: whatever was started is known, taken over or ended, and never doubled."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from infra.providers.local import identity, records
from tests.deadline import until
from tests.infra.engine import Project, Running, gone

# Far less than a create would take, far more than an engine needs to end.
PROMPT_SECONDS = 8.0
# Far less than the start of anything.
ADOPTION_SECONDS = 1.0


def gated(gate: Path, *more: str) -> str:
    """A counter that is there at once, and one that is ready only when `gate` exists."""
    return f"""
        def counter(name, *more, **options):
            return Process(name, program="python-infra", args=[COUNTER, "{{port.http}}", "{{data}}", *more], ports=["http"],
                           ready=[Http("http")], **options)

        quick = counter("quick")
        slow = counter("slow", "--gate", {str(gate)!r}, *{list(more)!r}, stop=Stop(grace_seconds=3),
                       opts=pulumi.ResourceOptions(depends_on=[quick]))
        pulumi.export("pids", [quick.pid, slow.pid])
    """


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def under_way(project: Project, run: Running, starts: int = 1) -> records.Record:
    """The record of the slow counter once it runs and has counted this start, but is not ready."""

    def started() -> records.Record | None:
        assert run.child.poll() is None, run.log.read_text()
        for record in project.records():
            counted = project.home / "run" / record.id / "data" / "starts"
            if record.name == "slow" and record.phase == "started" and counted.exists():
                return record if counted.read_text() == str(starts) else None
        return None

    record = until(started, seconds=30, what="the slow counter under way")
    assert record is not None
    return record


def starts_of(project: Project, name: str) -> int:
    record = next(record for record in project.records() if record.name == name)
    return int((project.home / "run" / record.id / "data" / "starts").read_text())


def test_ctrl_c_ends_a_slow_create_in_seconds_and_the_next_up_converges(project: Project, gate: Path) -> None:
    project.write(gated(gate))
    run = project.start("up", "--yes", "--skip-preview")
    under_way(project, run)
    asked = time.monotonic()
    run.interrupt()
    told = run.wait()
    assert time.monotonic() - asked < PROMPT_SECONDS
    assert "slow was interrupted while starting, and ended" in told
    assert [record.name for record in project.records()] == ["quick"] and len(project.processes()) == 1
    gate.touch()
    project.up()
    assert sorted(project.outputs()["pids"]) == sorted(found.pid for found in project.processes())


def test_a_killed_engine_takes_its_plugins_and_what_they_were_starting_with_it(project: Project, gate: Path) -> None:
    project.write(gated(gate))
    run = project.start("up", "--yes", "--skip-preview")
    under_way(project, run)
    gone(run.kill())
    assert [record.name for record in project.records()] == ["quick"] and len(project.processes()) == 1
    gate.touch()
    project.unlock()
    project.up()
    assert sorted(project.outputs()["pids"]) == sorted(found.pid for found in project.processes())


def test_what_a_killed_provider_was_starting_is_taken_over_by_the_next_up(project: Project, gate: Path) -> None:
    orphan = orphaned(project, gate)
    gate.touch()
    project.unlock()
    told = project.up()
    assert orphan.pid in project.outputs()["pids"] and starts_of(project, "slow") == 1
    assert sorted(project.outputs()["pids"]) == sorted(found.pid for found in project.processes())
    took = re.search(r"slow created \((\d+\.\d+)s\)", told)
    assert took and float(took[1]) < ADOPTION_SECONDS, told
    project.destroy()
    assert project.processes() == []


def test_what_a_killed_provider_was_starting_is_ended_when_the_next_up_wants_another(
    project: Project, gate: Path
) -> None:
    orphan = orphaned(project, gate)
    gate.touch()
    project.write(gated(gate, "--greeting", "other"))
    project.unlock()
    project.up()
    assert not identity.alive(orphan.pid, orphan.birth)
    assert sorted(project.outputs()["pids"]) == sorted(found.pid for found in project.processes())


def test_reap_ends_what_a_destroy_after_a_kill_does_not_know_of(project: Project, gate: Path) -> None:
    orphan = orphaned(project, gate)
    project.unlock()
    project.destroy()
    assert [found.pid for found in project.processes()] == [orphan.pid]
    ended = records.reap(project.qualified, home=project.home)
    assert [(found.record.name, found.was_running) for found in ended] == [("slow", True)]
    assert project.processes() == [] and project.records() == []


def test_a_restart_that_was_killed_is_done_by_the_next_up_with_the_data(project: Project, gate: Path) -> None:
    gate.touch()
    project.write(gated(gate))
    project.up()
    starts = starts_of(project, "slow")
    gate.unlink()
    project.write(gated(gate, "--greeting", "changed"))
    run = project.start("up", "--yes", "--skip-preview")
    under_way(project, run, starts + 1)
    run.kill_all()
    gate.touch()
    project.converge()
    project.up()
    assert sorted(project.outputs()["pids"]) == sorted(found.pid for found in project.processes())
    assert starts_of(project, "slow") >= starts + 1
    project.preview("--expect-no-changes")


def test_a_destroy_that_was_killed_is_finished_by_the_next(project: Project, gate: Path) -> None:
    gate.touch()
    project.write(gated(gate, "--stubborn"))
    project.up()
    slow = next(record for record in project.records() if record.name == "slow")
    run = project.start("destroy", "--yes", "--skip-preview")
    until(lambda: "slow deleting" in run.log.read_text(), seconds=30, what="the deletion under way")
    run.kill_all()
    project.unlock()
    project.destroy()
    assert project.processes() == [] and not identity.alive(slow.pid, slow.birth)


def orphaned(project: Project, gate: Path) -> records.Record:
    """A slow counter whose engine and provider were killed while it was starting."""
    project.write(gated(gate))
    run = project.start("up", "--yes", "--skip-preview")
    orphan = under_way(project, run)
    run.kill_all()
    assert identity.alive(orphan.pid, orphan.birth)
    return orphan
