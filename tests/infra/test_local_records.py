"""Records, ports and ends of local processes, on real processes but without an engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.providers.base import ProviderError
from infra.providers.local import identity, logs, places, ports, records
from infra.providers.local.places import Place
from infra.providers.local.records import Record
from infra.providers.local.spec import Stop
from tests.deadline import until

NAP = "import signal, time; signal.alarm(30); print('up', flush=True); time.sleep(30)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {NAP}"
FAMILY = f"""
import subprocess, sys
for apart in (False, True):
    subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=apart).stdout
{NAP}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(5)
        assert child.stdout is not None
        child.stdout.close()


def spawn(children: list[subprocess.Popen[bytes]], token: str, program: str = NAP, *, wait: bool = True) -> int:
    """A process that carries `token`; once it is up, or, without `wait`, at once."""
    env = {**os.environ, identity.TOKEN: token}
    child = subprocess.Popen([sys.executable, "-c", program], env=env, start_new_session=True, stdout=subprocess.PIPE)
    children.append(child)
    assert child.stdout is not None
    assert not wait or child.stdout.readline() == b"up\n"
    return child.pid


def record(name: str = "web", token: str = "t", stack: str = "shop/dev", **more: object) -> Record:
    project, stack_name = stack.split("/")
    urn = f"urn:pulumi:{stack_name}::{project}::isthmus:local:Process::{name}"
    made = Record(
        id=places.identifier(urn, stack, name), urn=urn, name=name, program="python-infra", token=token, digest="d",
        ports={}, stop=Stop(grace_seconds=0.2), keep_data=True,
    )  # fmt: skip
    for key, value in more.items():
        setattr(made, key, value)
    place = Place.of(made.id)
    place.prepare()
    records.save(place, made)
    return made


def test_a_process_is_known_by_its_birth_and_not_by_its_pid_alone(children: list) -> None:
    pid = spawn(children, "t")
    born = identity.birth(pid)
    assert identity.alive(pid, born)
    assert not identity.alive(pid, born + "1") and not identity.alive(pid, "") and not identity.alive(0, born)
    children[0].kill()
    until(lambda: not identity.alive(pid, born), seconds=5)
    assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "not reaped yet, and still not alive"


def test_the_record_of_a_spawn_whose_pid_was_never_noted_is_completed_from_the_token(children: list) -> None:
    pid = spawn(children, "orphan")
    written = record(token="orphan", phase="intent")
    found = records.load(Place.of(written.id))
    assert found is not None and (found.pid, found.phase, found.alive) == (pid, "started", True)
    found = records.load(Place.of(record("other", token="nobody").id))
    assert found is not None and not found.pid and not found.alive


def test_a_set_up_command_whose_pid_was_never_noted_is_not_taken_for_the_process(children: list) -> None:
    spawn(children, "orphan")
    found = records.load(Place.of(record(token="orphan", phase="setup").id))
    assert found is not None and found.phase == "setup" and found.pid


def test_the_end_of_a_process_is_the_end_of_its_children_in_any_session(children: list) -> None:
    pid = spawn(children, "family", FAMILY)
    until(lambda: len(identity.with_token("family")) == 3, seconds=10, what="the family")
    family = identity.members(pid, identity.birth(pid), "family")
    assert len(family) == 3
    assert identity.end(pid, identity.birth(pid), "family", signal.SIGTERM, 0.3)
    assert [process for process in family if identity.birth(process.pid)] == []


def test_workers_that_outlived_their_parent_are_ended_too(children: list) -> None:
    pid = spawn(children, "family", FAMILY)
    until(lambda: len(identity.with_token("family")) == 3, seconds=10, what="the family")
    written = record(token="family", pid=pid, birth=identity.birth(pid))
    children[0].kill()
    until(lambda: not written.alive, seconds=5)
    assert written.running
    records.end(written)
    assert identity.with_token("family") == [] and not written.running


def test_a_hurried_end_does_not_wait_for_the_grace(children: list) -> None:
    pid = spawn(children, "t", STUBBORN)
    hurry = threading.Event()
    threading.Timer(0.1, hurry.set).start()
    started = time.monotonic()
    assert identity.end(pid, identity.birth(pid), "t", signal.SIGTERM, 25.0, hurry)
    assert time.monotonic() - started < 10


def test_a_stranger_with_a_recorded_pid_is_left_alone(children: list) -> None:
    stranger = spawn(children, "strange")
    written = record(pid=stranger, birth="another birth")
    assert not written.alive
    records.end(written)
    assert identity.birth(stranger)


def test_reap_ends_what_is_not_wanted_and_keeps_the_rest_and_its_data(children: list, home: Path) -> None:
    kept, lost = spawn(children, "kept"), spawn(children, "lost")
    wanted = record("kept", "kept", pid=kept, birth=identity.birth(kept))
    unwanted = record("lost", "lost", pid=lost, birth=identity.birth(lost), keep_data=False)
    dead = record("dead", "dead", pid=1, birth="long ago")
    (Place.of(dead.id).data / "precious").touch()
    elsewhere = record("else", "else", stack="shop/prod")
    ended = records.reap("shop/dev", {wanted.urn})
    assert {(found.record.name, found.was_running) for found in ended} == {("lost", True), ("dead", False)}
    assert identity.birth(kept) and not identity.birth(lost)
    assert [found.id for found in records.list_records()] == [wanted.id, elsewhere.id]
    assert (Place.of(dead.id).data / "precious").exists() and not Place.of(unwanted.id).dir.exists()
    assert records.reap("shop/dev", {wanted.urn}) == []


def test_reap_ends_what_was_being_started_when_its_provider_died(children: list) -> None:
    """A record without a pid whose process shows itself only after reap has begun to look."""
    record(token="late")
    latecomer = threading.Timer(0.3, spawn, (children, "late"), {"wait": False})  # it may be ended before it is up
    latecomer.start()
    ended = records.reap("shop/dev")
    latecomer.join()
    assert [one.was_running for one in ended] == [True]
    assert not identity.with_token("late")


def test_a_damaged_record_is_told_with_its_path() -> None:
    place = Place.of(record().id)
    place.record.write_text("{")
    with pytest.raises(ProviderError, match=f"{place.record} is damaged"):
        records.list_records()


@pytest.mark.parametrize("wrong", ["web", "a/b", "a/b/c/d", "../b/c", "a/../c", "a/b/..", "/a/b/c", "a/b/c\n"])
def test_an_id_that_leads_elsewhere_is_refused(wrong: str) -> None:
    with pytest.raises(ProviderError, match="is not the id of a local process"):
        Place.of(wrong)


def test_two_processes_of_one_name_under_different_parents_have_two_places() -> None:
    one = places.identifier("urn:pulumi:dev::shop::a:b:C$isthmus:local:Process::web", "shop/dev", "web")
    two = places.identifier("urn:pulumi:dev::shop::a:b:D$isthmus:local:Process::web", "shop/dev", "web")
    assert one != two and one.startswith("shop/dev/web-")
    Place.of(places.identifier("urn", "shop.com/dév", "a/b:c …"))


def test_secrets_are_generated_once_and_are_nobody_elses() -> None:
    place = Place.of(record().id)
    first = place.secret_values(["key", "other"])
    assert place.secret_values(["key"]) == {"key": first["key"]} and first["key"] != first["other"]
    assert len(first["key"]) >= 43
    assert place.secret("key").stat().st_mode & 0o777 == 0o600 and place.dir.stat().st_mode & 0o777 == 0o700


def test_lost_data_is_given_another_id_and_set_up_again() -> None:
    place = Place.of(record().id)
    first = place.data_id()
    places.write_private(place.setup_done, "")
    place.prepare()
    assert place.data_id() == first and place.setup_done.exists()
    place.data.rmdir()
    place.prepare()
    assert place.data_id() != first and not place.setup_done.exists()


def test_a_place_is_locked_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_LOCK_WAIT_SECONDS", 0.2)
    place = Place.of(record().id)
    with place.locked(), pytest.raises(ProviderError, match="being started or ended by another run"), place.locked():
        pass
    with place.locked():
        pass


def test_a_port_is_the_same_every_time_and_another_for_another_place() -> None:
    chooser = ports.Reservations()
    with chooser.choose("a", {"x": 0, "y": 0}, {}, ()) as first:
        pass
    with chooser.choose("a", {"x": 0, "y": 0}, {}, ()) as again, chooser.choose("b", {"x": 0}, {}, ()) as other:
        assert again == first and other["x"] not in first.values()
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in first.values())


def test_two_starts_at_once_never_get_the_same_port() -> None:
    chooser = ports.Reservations()
    with chooser.choose("a", {"x": 0}, {}, ()) as one, chooser.choose("a", {"x": 0}, {}, ()) as two:
        assert one != two


def test_a_port_that_is_listened_on_or_avoided_is_passed_over_and_a_preferred_one_taken() -> None:
    chooser = ports.Reservations()
    with chooser.choose("a", {"x": 0}, {}, ()) as chosen:
        pass
    with chooser.choose("a", {"x": 0}, {}, {chosen["x"]}) as other:
        assert other != chosen
    with chooser.choose("a", {"x": 0}, {"x": other["x"]}, {other["x"]}) as kept:
        assert kept == other, "its own port is not avoided"
    with socket.create_server(("127.0.0.1", chosen["x"])):
        with chooser.choose("a", {"x": 0}, {"x": chosen["x"]}, ()) as moved:
            assert moved != chosen
        with pytest.raises(ports.PortTaken, match=f"port {chosen['x']} \\('x'\\) is taken"):
            chooser.choose("a", {"x": chosen["x"]}, {}, ()).__enter__()


def test_a_log_past_its_limit_is_moved_aside_at_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 100)
    log = tmp_path / "log"
    log.write_text("old\n")
    assert logs.rotate(log) == 4
    log.write_text("x" * 101)
    assert logs.rotate(log) == 0
    assert not log.exists() and (tmp_path / "log.1").stat().st_size == 101


def test_the_end_of_a_log_is_quoted_from_this_start_on_and_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\nkey=s3cret\n\xff\n")
    assert logs.tail(log, 7, ["s3cret"]) == "key=[secret]\n\ufffd"
    assert logs.tail(tmp_path / "none", 0, []) == "(nothing)"
