"""Retried object storage on real servers behind a faulty network: faults are ridden over, and nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from adapters.drivers.storage import gcs, s3
from adapters.drivers.storage.driver import StorageDriver
from adapters.errors import Conflict, NotFound, Transient
from adapters.ports import ABSENT
from adapters.retry import Budget, Retrying, Unsettled
from adapters.settings import Secret, StorageSettings
from tests.faults import Crawl, Cut, Delay, Drop, Fault, Hang, Lose, Proxy, Refuse, Request, Trickle, proxied
from tests.servers import ObjectServer, gcs_server, s3_server

DEADLINE_SECONDS = 20.0
SHORT_SECONDS = 0.5
SAFETY_SECONDS = 3.0
"""On top of a deadline, for a machine that is busy: the deadline itself is measured in `make bench`."""
BODY = bytes(range(251)) * 8000  # 2 MB
MEBIBYTE = 1 << 20
STORM = 300


class Boundless(Budget):
    """Allows every repetition."""

    def spend(self) -> bool:
        return True


class Site:
    """A server, a way to it without faults, and one with: `storage` is retried, through the proxy."""

    def __init__(self, open_: Callable[[StorageSettings], StorageDriver], section: StorageSettings) -> None:
        self._open, self._section = open_, section
        self.direct = open_(section)

    def proxied(self) -> AbstractContextManager[Proxy]:
        return proxied(self._section.endpoint, rename=not self._section.access_key)

    def behind(self, proxy: Proxy, *, timeout_seconds: float = DEADLINE_SECONDS) -> StorageDriver:
        section = StorageSettings(
            bucket=self._section.bucket,
            endpoint=proxy.url,
            access_key=self._section.access_key,
            secret_key=self._section.secret_key,
            timeout_seconds=timeout_seconds,
        )
        return self._open(section)


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with s3_server() as server:
        yield Site(s3.open, _section(server, tmp_path_factory.mktemp("secrets")))


@pytest.fixture(scope="module")
def fake_gcs() -> Iterator[Site]:
    with gcs_server() as server:
        yield Site(gcs.open, StorageSettings(bucket=server.bucket, endpoint=server.url))


@pytest.fixture(params=["seaweedfs", "fake_gcs"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    with site.proxied() as proxy:
        yield proxy


@pytest.fixture
def driver(site: Site, proxy: Proxy) -> Iterator[StorageDriver]:
    store: s3.S3Storage | gcs.GcsStorage = site.behind(proxy)  # type: ignore[assignment]
    with closing(store):
        yield store


@pytest.fixture
def storage(driver: StorageDriver) -> Retrying:
    return Retrying(driver, deadline_seconds=DEADLINE_SECONDS)


@pytest.fixture
def key(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A key that no other test uses."""
    return f"{tmp_path.name}/{abs(hash(request.node.name))}"


def _section(server: ObjectServer, folder: Path) -> StorageSettings:
    for name, value in (("access", server.access_key), ("secret", server.secret_key)):
        (folder / name).write_text(value)
    return StorageSettings(
        bucket=server.bucket,
        endpoint=server.url,
        access_key=Secret(f"file:{folder}/access"),
        secret_key=Secret(f"file:{folder}/secret"),
    )


def at(number: int, fault: Fault) -> Callable[[Request], Fault | None]:
    """The fault for the request of that number alone."""
    return lambda request: fault if request.number == number else None


FAULTS = [
    Refuse(),
    Refuse("500 Internal Server Error", b""),
    Refuse("502 Bad Gateway", b"<html>"),
    Drop(),
    Lose(),
    Cut(1),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__ + getattr(fault, "status", "")[:3])
def test_every_operation_rides_over_a_passing_fault(
    site: Site, proxy: Proxy, driver: StorageDriver, key: str, fault: Fault
) -> None:
    storage = Retrying(driver, deadline_seconds=DEADLINE_SECONDS, budget=Boundless())
    site.direct.put(key, BODY, metadata={"a": "1"})
    for call, expected in (
        (lambda: storage.get(key).body, BODY),
        (lambda: storage.get_range(key, 5, 7), BODY[5:12]),
        (lambda: b"".join(storage.stream(key)), BODY),
        (lambda: dict(storage.head(key).metadata), {"a": "1"}),
        (lambda: [info.key for info in storage.list(key).objects], [key]),
        (lambda: [one.body for one in storage.get_many([key, key])], [BODY, BODY]),
        (lambda: storage.put(key, b"new") == site.direct.head(key).version, True),
        (lambda: storage.copy(key, key + "2") == site.direct.head(key + "2").version, True),
        (lambda: storage.set_tags(key, {"t": "1"}), None),
        (lambda: storage.tags(key), {"t": "1"}),
        (lambda: storage.delete(key), None),
        (lambda: len(storage.put_many([(key + "3", b"3"), (key + "4", b"4")])), 2),
    ):
        came = len(proxy.requests)
        proxy.fault = at(came, fault)
        assert call() == expected
        assert len(proxy.requests) > came
    with pytest.raises(NotFound):
        site.direct.head(key)
    assert site.direct.get(key + "4").body == b"4"


def test_a_stream_goes_on_where_it_broke_off(proxy: Proxy, storage: Retrying, site: Site, key: str) -> None:
    site.direct.put(key, BODY)
    breaks = {0: Cut(300_000), 1: Drop(), 2: Cut(500_000), 3: Refuse()}
    proxy.fault = lambda request: breaks.get(request.number)
    assert b"".join(storage.stream(key, chunk_bytes=100_000)) == BODY
    assert len(proxy.requests) >= 5


def test_a_stream_that_goes_on_never_mixes_two_versions(proxy: Proxy, storage: Retrying, site: Site, key: str) -> None:
    site.direct.put(key, BODY)

    def overwrite_at_second(request: Request) -> Fault | None:
        if request.number == 1:
            site.direct.put(key, BODY[::-1])
        return Cut(900_000) if request.number == 0 else None

    proxy.fault = overwrite_at_second
    chunks = storage.stream(key, chunk_bytes=MEBIBYTE // 2)
    with pytest.raises(Conflict):
        for at_, chunk in enumerate(chunks):
            assert chunk == BODY[at_ * MEBIBYTE // 2 :][: len(chunk)]


def test_a_lost_answer_to_a_creation_is_settled_by_reading_back(
    proxy: Proxy, storage: Retrying, site: Site, key: str
) -> None:
    proxy.fault = at(0, Lose())
    version = storage.put(key, b"ours", if_version=ABSENT, metadata={"a": "1"})
    stored = site.direct.get(key)
    assert (stored.body, stored.info.version, dict(stored.info.metadata)) == (b"ours", version, {"a": "1"})
    writes = [request for request in proxy.requests if request.method in ("PUT", "POST")]
    assert len(writes) == 2, "the second met the first, and there was no third"


def test_a_lost_answer_to_a_replacement_is_settled_by_reading_back(
    proxy: Proxy, storage: Retrying, site: Site, key: str
) -> None:
    first = site.direct.put(key, b"first")
    proxy.fault = at(0, Lose())
    version = storage.put(key, b"ours", if_version=first)
    assert version != first
    assert (site.direct.get(key).body, site.direct.head(key).version) == (b"ours", version)


def test_without_the_nonce_a_lost_answer_would_be_taken_for_a_lost_race(
    proxy: Proxy, driver: StorageDriver, key: str
) -> None:
    proxy.fault = at(0, Lose())
    with pytest.raises(Transient):
        driver.put(key, b"ours", if_version=ABSENT)
    with pytest.raises(Conflict):
        driver.put(key, b"ours", if_version=ABSENT)


@pytest.mark.parametrize("fault", [Drop(), Lose()], ids=lambda fault: type(fault).__name__)
def test_a_lost_answer_after_which_another_wrote_is_not_claimed_either_way(
    proxy: Proxy, storage: Retrying, site: Site, key: str, fault: Fault
) -> None:
    first = site.direct.put(key, b"first")

    def overtake(request: Request) -> Fault | None:
        if request.number == 1:
            site.direct.put(key, b"theirs")
        return fault if request.number == 0 else None

    proxy.fault = overtake
    with pytest.raises(Unsettled):
        storage.put(key, b"ours", if_version=first)
    assert site.direct.get(key).body == b"theirs"


def test_a_refusal_is_no_lost_answer(seaweedfs: Site, key: str) -> None:
    with seaweedfs.proxied() as proxy:
        storage = Retrying(seaweedfs.behind(proxy), deadline_seconds=DEADLINE_SECONDS)
        first = seaweedfs.direct.put(key, b"first")

        def overtake(request: Request) -> Fault | None:
            if request.number == 1:
                seaweedfs.direct.put(key, b"theirs")
            return Refuse() if request.number == 0 else None

        proxy.fault = overtake
        with pytest.raises(Conflict):
            storage.put(key, b"ours", if_version=first)


def test_a_lost_answer_to_a_deletion_of_a_version_is_not_claimed(seaweedfs: Site, key: str) -> None:
    with seaweedfs.proxied() as proxy:
        storage = Retrying(seaweedfs.behind(proxy), deadline_seconds=DEADLINE_SECONDS)
        version = seaweedfs.direct.put(key, b"first")
        proxy.fault = at(0, Lose())
        with pytest.raises(Unsettled):
            storage.delete(key, if_version=version)
        with pytest.raises(NotFound):
            seaweedfs.direct.head(key)


def test_a_part_of_an_upload_is_sent_again_by_the_sdk(proxy: Proxy, storage: Retrying, site: Site, key: str) -> None:
    proxy.fault = at(2, Refuse("503 Service Unavailable", b""))
    version = storage.put_stream(key, (bytes([number]) * MEBIBYTE for number in range(20)))
    info = site.direct.head(key)
    assert (info.size_bytes, info.version) == (20 * MEBIBYTE, version)
    assert site.direct.get_range(key, 10 * MEBIBYTE - 1, 2) == b"\x09\x0a"


def test_a_lost_answer_to_the_end_of_an_upload_is_settled_by_reading_back(
    proxy: Proxy, storage: Retrying, seaweedfs: Site, key: str, site: Site
) -> None:
    if site is not seaweedfs:
        proxy.fault = lambda request: Lose() if request.method == "POST" and request.number == 0 else None
        version = storage.put_stream(key, [b"short"])
    else:
        last = "uploadId="
        proxy.fault = lambda request: Lose() if request.method == "POST" and last in request.target else None
        version = storage.put_stream(key, (bytes(MEBIBYTE) for _ in range(9)))
    assert site.direct.head(key).version == version


def test_a_streamed_body_that_cannot_be_replayed_is_not_sent_twice(
    proxy: Proxy, storage: Retrying, site: Site, key: str
) -> None:
    proxy.fault = at(0, Drop())
    with pytest.raises(Transient):
        storage.put_stream(key, iter([b"once"]))
    with pytest.raises(NotFound):
        site.direct.head(key)
    proxy.fault = at(len(proxy.requests), Drop())
    assert storage.put_stream(key, [b"as often", b" as needed"]) == site.direct.head(key).version


def test_a_storm_is_not_fed(proxy: Proxy, driver: StorageDriver) -> None:
    proxy.fault = lambda _: Refuse()
    storage = Retrying(driver, deadline_seconds=DEADLINE_SECONDS, sleep=lambda _: None)
    for number in range(STORM):
        with pytest.raises(Transient):
            storage.head(f"k{number}")
    assert len(proxy.requests) <= 1.2 * STORM
    assert len(proxy.requests) > STORM, "some were repeated"


def test_without_a_budget_a_storm_would_be_fed(proxy: Proxy, driver: StorageDriver) -> None:
    proxy.fault = lambda _: Refuse()
    storage = Retrying(driver, deadline_seconds=SHORT_SECONDS, budget=Boundless(), sleep=lambda _: None)
    for number in range(20):
        with pytest.raises(Transient):
            storage.head(f"k{number}")
    assert len(proxy.requests) > 2 * 20


@pytest.mark.parametrize(
    "fault", [Hang(), Trickle(0.05), Delay(60.0), Refuse(), Drop()], ids=lambda fault: type(fault).__name__
)
@pytest.mark.parametrize("what", ["get", "put", "put_if"])
def test_no_operation_outlives_its_deadline(
    proxy: Proxy, driver: StorageDriver, site: Site, key: str, fault: Fault, what: str
) -> None:
    site.direct.put(key, BODY)
    storage = Retrying(driver, deadline_seconds=SHORT_SECONDS)
    proxy.fault = lambda _: fault
    started = time.monotonic()
    with pytest.raises(Transient):
        if what == "get":
            storage.get(key)
        else:
            storage.put(key + "new", BODY, if_version=ABSENT if what == "put_if" else None)
        assert isinstance(fault, Trickle)
        raise Transient("an answer short enough for this trickle")
    assert time.monotonic() - started < SHORT_SECONDS + SAFETY_SECONDS


def test_a_slow_upload_that_moves_is_not_broken_off(seaweedfs: Site, key: str) -> None:
    with seaweedfs.proxied() as proxy:
        storage = seaweedfs.behind(proxy, timeout_seconds=6.0)
        proxy.fault = lambda _: Crawl(4 * MEBIBYTE)
        started = time.monotonic()
        storage.put(key, bytes(20 * MEBIBYTE))
        assert time.monotonic() - started > 3.0, "it has to take longer than a connection may stand still or be made"
    assert seaweedfs.direct.head(key).size_bytes == 20 * MEBIBYTE
