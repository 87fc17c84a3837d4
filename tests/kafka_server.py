"""The real Apache Kafka for tests: one KRaft node on free loopback ports, with a listener for every way to log in."""

from __future__ import annotations

import atexit
import base64
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import Authority
from tests.children import end_with_parent
from tests.deadline import until
from tools import locate

ADMIN = ("admin", "the-admin's-secret")
"""Known to PLAIN and SCRAM, and allowed everything."""
GUEST = ("guest", "the-guest's-secret")
"""Known to PLAIN and SCRAM, and allowed nothing."""
AUDIENCE = "kafka"
HIGHEST_PORT = 32768  # below the ephemeral range
START_SECONDS = 90.0
OAUTH = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True)
class Listener:
    """A port of the broker: whom it lets in, and whether over TLS."""

    name: str
    mechanisms: tuple[str, ...] = ()
    """SASL mechanisms; none means that everybody is let in, with all rights."""
    tls: bool = False

    @property
    def protocol(self) -> str:
        return f"{'SASL_' * bool(self.mechanisms)}{'SSL' if self.tls else 'PLAINTEXT'}"


PLAINTEXT = Listener("plaintext")
TLS = Listener("tls", tls=True)
PASSWORDS = Listener("passwords", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
PASSWORDS_TLS = Listener("passwords_tls", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), tls=True)
TOKENS_TLS = Listener("tokens_tls", ("OAUTHBEARER",), tls=True)
EVERY = (PLAINTEXT, TLS, PASSWORDS, PASSWORDS_TLS, TOKENS_TLS)


@dataclass
class KafkaServer:
    """A running broker. `stop` and `start` take it away and bring it back on the same ports with what it stored."""

    folder: Path
    ports: dict[str, int]
    authority: Authority
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def brokers(self, listener: Listener = PLAINTEXT) -> str:
        """What a client of this listener puts into its `brokers` setting."""
        return f"127.0.0.1:{self.ports[listener.name]}"

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises RuntimeError with its output when it ends instead."""
        with (self.folder / "log").open("ab") as log:
            self.process = _java(self, "kafka.Kafka", str(self.folder / "server.properties"), log=log)
        until(self._ready, seconds=START_SECONDS, what=f"Kafka at {self.brokers()}")

    def stop(self) -> None:
        """End the broker as a crash does: nothing is flushed, no client is told."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For the block the broker neither answers nor hangs up, as behind a firewall that drops every packet."""
        assert self.process is not None, "the broker is stopped"
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"Kafka did not start:\n{(self.folder / 'log').read_text(errors='replace')[-4000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.ports[PLAINTEXT.name])) != 0:
                return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.brokers(), "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=5).brokers)
        except KafkaException:
            return False


@functools.cache
def shared() -> KafkaServer:
    """The one broker of this test session, with every listener; started at the first call, ended with the process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(kafka_server(EVERY))


@contextmanager
def kafka_server(listeners: Sequence[Listener] = (PLAINTEXT,)) -> Iterator[KafkaServer]:
    """A broker of its own, ready for clients; ended with the block, its data removed. `PLAINTEXT` is always there."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-kafka-"))
    try:
        listeners = tuple(dict.fromkeys((PLAINTEXT, *listeners)))
        server = KafkaServer(folder, _free_ports([*(each.name for each in listeners), "controller"]), Authority(folder))
        _format(server, listeners)
        try:
            server.start()
            if any("SCRAM-SHA-256" in each.mechanisms for each in listeners):
                _add_scram_users(server)
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _format(server: KafkaServer, listeners: Sequence[Listener]) -> None:
    properties = _properties(server, listeners)
    path = server.folder / "server.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "_")
    with (server.folder / "log").open("ab") as log:
        formatting = _java(server, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(path), log=log)
    if formatting.wait(START_SECONDS) != 0:
        raise RuntimeError(f"Kafka's storage was not formatted:\n{(server.folder / 'log').read_text()}")


def _properties(server: KafkaServer, listeners: Sequence[Listener]) -> dict[str, str]:
    ports = server.ports
    names = [each.name for each in listeners]
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports['controller']}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": PLAINTEXT.name.upper(),
        "listeners": ",".join(f"{name.upper()}://127.0.0.1:{ports[name]}" for name in [*names, "controller"]),
        "advertised.listeners": ",".join(f"{name.upper()}://127.0.0.1:{ports[name]}" for name in names),
        "listener.security.protocol.map": ",".join(
            [*(f"{each.name.upper()}:{each.protocol}" for each in listeners), "CONTROLLER:PLAINTEXT"]
        ),
        "log.dirs": str(server.folder / "data"),
        "num.network.threads": "1",
        "num.io.threads": "2",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "auto.create.topics.enable": "true",  # Kafka's default, and the harder one: asking for a topic must not make it
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{ADMIN[0]}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.authority.server_file),
        "ssl.client.auth": "none",
    }
    for each in listeners:
        properties |= _login_properties(server, each)
    return properties


def _login_properties(server: KafkaServer, listener: Listener) -> dict[str, str]:
    if not listener.mechanisms:
        return {}
    at = f"listener.name.{listener.name}"
    users = " ".join(f'user_{name}="{password}"' for name, password in (ADMIN, GUEST))
    properties = {f"{at}.sasl.enabled.mechanisms": ",".join(listener.mechanisms)}
    for mechanism in listener.mechanisms:
        module = {
            "PLAIN": f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};",
            "OAUTHBEARER": f"{OAUTH}.OAuthBearerLoginModule required;",
        }.get(mechanism, "org.apache.kafka.common.security.scram.ScramLoginModule required;")
        properties[f"{at}.{mechanism.lower()}.sasl.jaas.config"] = module
    if "OAUTHBEARER" in listener.mechanisms:
        handler = f"{at}.oauthbearer.sasl.server.callback.handler.class"
        properties[handler] = f"{OAUTH}.OAuthBearerValidatorCallbackHandler"
        properties[f"{at}.sasl.oauthbearer.jwks.endpoint.url"] = server.authority.jwks_file.as_uri()
        properties[f"{at}.sasl.oauthbearer.expected.audience"] = AUDIENCE
        # A connection must log in again before its token expires, or the broker hangs up.
        properties[f"{at}.oauthbearer.connections.max.reauth.ms"] = "3600000"
    return properties


def _add_scram_users(server: KafkaServer) -> None:
    from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

    admin = AdminClient({"bootstrap.servers": server.brokers()})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        changes = [
            UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, 4096), password.encode())
            for name, password in (ADMIN, GUEST)
        ]
        for done in admin.alter_user_scram_credentials(changes, request_timeout=30).values():
            done.result(30)


def _java(server: KafkaServer, main: str, *args: str, log: object) -> subprocess.Popen[bytes]:
    program = locate("kafka")
    java, *class_path = program.argv
    options = (
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={server.authority.jwks_file.as_uri()}",
    )
    return subprocess.Popen(
        [java, *options, *class_path, main, *args],
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[arg-type]
        stderr=subprocess.STDOUT,
        env={**os.environ, **program.env},
        cwd=server.folder,
        preexec_fn=end_with_parent,
    )


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """A free port for each name, all held at once so that they differ."""
    with ExitStack() as stack:
        return {name: _free_port(stack) for name in names}


def _free_port(stack: ExitStack) -> int:
    while True:
        port = 10000 + int.from_bytes(os.urandom(2)) % (HIGHEST_PORT - 10000)
        probe = stack.enter_context(socket.socket())
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
