"""Every way to log in, against the real broker: who is let in, who is not, how soon that is said, and what is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.conformance.message_queue_members import drain, new_topic, numbered, values
from adapters.drivers.queue.kafka import KafkaQueue
from adapters.errors import Denied, Invalid, NotFound, Transient
from adapters.settings import QueueSettings, Secret
from tests import kafka_server
from tests.kafka_server import ADMIN, AUDIENCE, GUEST, PASSWORDS, PASSWORDS_TLS, TLS, TOKENS_TLS, KafkaServer, Listener

DENIED_SECONDS = 5.0
WRONG = "an-entirely-wrong-secret"
TOKEN_SECONDS = 6.0

Connect = Callable[..., KafkaQueue]


@pytest.fixture(scope="module")
def server() -> KafkaServer:
    return kafka_server.shared()


@pytest.fixture(scope="module")
def topic(server: KafkaServer) -> str:
    return new_topic(KafkaQueue(QueueSettings(brokers=server.brokers())), 1)


@pytest.fixture
def connect(server: KafkaServer, tmp_path: Path) -> Connect:
    """A queue over one of the broker's listeners, with a user and password that stand in files."""

    def connect(
        listener: Listener, auth: str = "none", user: tuple[str, str] = ADMIN, **settings: object
    ) -> KafkaQueue:
        for name, value in zip(("username", "password"), user, strict=True):
            (tmp_path / name).write_text(value + "\n")
        section = QueueSettings(
            brokers=server.brokers(listener),
            auth=auth,  # type: ignore[arg-type]
            tls=listener.tls,
            ca_file=str(settings.get("ca_file", server.authority.ca_file)),
            username=Secret(f"file:{tmp_path}/username"),
            password=Secret(f"file:{tmp_path}/password"),
        )
        tokens = settings.get("tokens")
        return KafkaQueue(section, session_seconds=2, tokens=tokens)  # type: ignore[arg-type]

    return connect


def works(queue: KafkaQueue, topic: str) -> None:
    """Publish, and receive it back in a group of its own."""
    [position] = queue.publish(topic, numbered(1))
    with queue.subscribe([topic], group=f"group-{time.monotonic_ns()}") as member:
        member.seek(position)
        assert values(drain(member, 1)) == [0]
    queue.close()


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
@pytest.mark.parametrize("listener", [PASSWORDS, PASSWORDS_TLS], ids=lambda listener: listener.name)
def test_a_known_user_is_let_in(connect: Connect, topic: str, listener: Listener, mechanism: str) -> None:
    works(connect(listener, mechanism), topic)


def test_tls_alone_protects_a_broker_that_asks_for_no_user(connect: Connect, topic: str) -> None:
    works(connect(TLS), topic)


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
@pytest.mark.parametrize("use", ["publish", "subscribe", "create_topic", "lag"])
def test_a_wrong_password_is_denied_at_once_and_not_repeated(
    connect: Connect, topic: str, mechanism: str, use: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = connect(PASSWORDS_TLS, mechanism, user=(ADMIN[0], WRONG))
    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: queue.publish(topic, numbered(1)),
        "subscribe": lambda: queue.subscribe([topic], group="denied"),
        "create_topic": lambda: queue.create_topic("denied"),
        "lag": lambda: queue.lag(topic, group="denied"),
    }
    began = time.monotonic()
    with pytest.raises(Denied, match=r"queue\.password") as caught:
        calls[use]()
    assert time.monotonic() - began < DENIED_SECONDS
    for text in (str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(queue), caplog.text):
        assert WRONG not in text


def test_an_unknown_user_is_denied(connect: Connect, topic: str) -> None:
    with pytest.raises(Denied):
        connect(PASSWORDS, "scram-sha-256", user=("nobody", WRONG)).ends(topic)


def test_a_user_without_rights_is_denied_each_thing(connect: Connect, topic: str) -> None:
    queue = connect(PASSWORDS, "scram-sha-512", user=GUEST)
    began = time.monotonic()
    for use in (
        lambda: queue.publish(topic, numbered(1)),
        lambda: queue.subscribe([topic], group="guests"),
        lambda: queue.create_topic("guests"),
        lambda: queue.delete_topic(topic),
        lambda: queue.ends(topic),
    ):
        with pytest.raises(Denied):
            use()
    assert time.monotonic() - began < DENIED_SECONDS


def test_a_server_that_our_authority_did_not_sign_is_not_talked_to(
    connect: Connect, topic: str, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    other = kafka_server.Authority(stranger).ca_file
    began = time.monotonic()
    with pytest.raises(Denied, match="ca_file"):
        connect(PASSWORDS_TLS, "plain", ca_file=other).publish(topic, numbered(1))
    assert time.monotonic() - began < DENIED_SECONDS


def test_tls_towards_a_server_without_it_fails_clearly(server: KafkaServer, topic: str) -> None:
    section = QueueSettings(brokers=server.brokers(), tls=True, ca_file=str(server.authority.ca_file))
    with pytest.raises(Transient, match="SSL"):
        KafkaQueue(section).publish(topic, numbered(1), timeout_seconds=1)


def test_a_secret_that_is_not_there_is_named(server: KafkaServer) -> None:
    missing = Secret("file:/nowhere/password")
    section = QueueSettings(brokers=server.brokers(PASSWORDS), auth="plain", username=missing, password=missing)
    with pytest.raises(NotFound, match="/nowhere/password"):
        KafkaQueue(section).ends("any")


def test_a_password_is_never_sent_in_the_clear_to_another_machine() -> None:
    section = QueueSettings(brokers="127.0.0.1:9092,kafka.example:9092", auth="plain")
    with pytest.raises(Invalid, match=r"queue\.tls"):
        KafkaQueue(section).ends("any")


def test_a_password_that_was_replaced_is_read_again(connect: Connect, topic: str, tmp_path: Path) -> None:
    queue = connect(PASSWORDS, "scram-sha-256", user=(ADMIN[0], WRONG))
    with pytest.raises(Denied):
        queue.ends(topic)
    (tmp_path / "password").write_text(ADMIN[1])
    works(queue, topic)


def test_a_token_lets_in_and_a_foreign_one_does_not(connect: Connect, server: KafkaServer, topic: str) -> None:
    def tokens() -> tuple[str, float]:
        return server.authority.token(ADMIN[0], audience=AUDIENCE, lifetime_seconds=60)

    def foreign() -> tuple[str, float]:
        return server.authority.token(ADMIN[0], audience="somebody-else", lifetime_seconds=60)

    works(connect(TOKENS_TLS, tokens=tokens), topic)
    began = time.monotonic()
    with pytest.raises(Denied) as caught:
        connect(TOKENS_TLS, tokens=foreign).publish(topic, numbered(1))
    assert time.monotonic() - began < DENIED_SECONDS
    assert "eyJ" not in str(caught.value)


def test_no_token_is_denied_without_quoting_what_went_wrong(connect: Connect, topic: str) -> None:
    def tokens() -> tuple[str, float]:
        raise RuntimeError(f"the metadata server said {WRONG}")

    began = time.monotonic()
    with pytest.raises(Denied, match="RuntimeError") as caught:
        connect(TOKENS_TLS, tokens=tokens).publish(topic, numbered(1))
    assert time.monotonic() - began < DENIED_SECONDS
    assert WRONG not in str(caught.value)


def test_tokens_are_made_anew_before_they_expire_while_work_goes_on(
    connect: Connect, server: KafkaServer, topic: str
) -> None:
    """The broker hangs up on a connection whose token has expired, so going on means having logged in again."""
    issued: list[float] = []

    def tokens() -> tuple[str, float]:
        issued.append(time.time())
        token, expires = server.authority.token(ADMIN[0], audience=AUDIENCE, lifetime_seconds=TOKEN_SECONDS)
        # librdkafka looks for tokens to renew once a second, so with so short a life it is told of an earlier end.
        return token, expires - 0.4 * TOKEN_SECONDS

    queue = connect(TOKENS_TLS, tokens=tokens)
    [first] = queue.publish(topic, numbered(1))
    with queue.subscribe([topic], group=f"group-{time.monotonic_ns()}") as member:
        member.seek(first)
        sent = 1
        began = time.monotonic()
        received = []
        while time.monotonic() - began < 1.6 * TOKEN_SECONDS:
            queue.publish(topic, numbered(1, start=sent), timeout_seconds=3)
            sent += 1
            received += member.receive(timeout_seconds=0.1)
            member.ack(received[-1:])
        received += drain(member, sent - len(received))
    queue.close()
    assert values(received) == list(range(sent))
    # Three clients, each with a token at the start and then one in time before the last had expired.
    assert len(issued) >= 6
    assert (
        max(later - earlier for earlier, later in zip(sorted(issued), sorted(issued)[1:], strict=False)) < TOKEN_SECONDS
    )
