"""TLS in front of a server that speaks none: what a managed store's endpoint looks like from a client's side."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ACCEPT_SECONDS = 0.1
CHUNK_BYTES = 64 << 10


@dataclass(frozen=True)
class TlsFront:
    """Where it listens, on 127.0.0.1, and the PEM file of the authority that signed its certificate (itself)."""

    port: int
    ca_file: Path


@contextlib.contextmanager
def tls_front(port: int, folder: Path) -> Iterator[TlsFront]:
    """Take TLS connections and pass their bytes on to 127.0.0.1:`port` until the block ends."""
    pem = folder / "front.pem"
    pem.write_bytes(_certificate("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(ACCEPT_SECONDS)
        thread = threading.Thread(target=_accept, args=(listener, context, port, done))
        thread.start()
        try:
            yield TlsFront(listener.getsockname()[1], pem)
        finally:
            done.set()
            thread.join(10)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int, done: threading.Event) -> None:
    threads: list[threading.Thread] = []
    while not done.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = listener.accept()
            threads.append(threading.Thread(target=_serve, args=(client, context, port, done)))
            threads[-1].start()
    for thread in threads:
        thread.join(10)


def _serve(client: socket.socket, context: ssl.SSLContext, port: int, done: threading.Event) -> None:
    with client:
        client.settimeout(10)
        try:
            secured = context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            return  # a client that does not trust us, which is what some tests are about
        with secured, socket.create_connection(("127.0.0.1", port)) as server:
            for end in (secured, server):
                end.settimeout(ACCEPT_SECONDS)
            answers = threading.Thread(target=_pump, args=(server, secured, done))
            answers.start()
            _pump(secured, server, done)
            answers.join(10)


def _pump(source: socket.socket, target: socket.socket, done: threading.Event) -> None:
    while not done.is_set():
        try:
            chunk = source.recv(CHUNK_BYTES)
            if not chunk:
                break
            target.sendall(chunk)
        except TimeoutError:
            continue
        except OSError:
            break
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _certificate(address: str) -> bytes:
    """A key and a certificate for this address, signed by itself, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "isthmus test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # From Python 3.13 on, certificates are held to RFC 5280: an authority names its key and what it is for.
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + made.public_bytes(serialization.Encoding.PEM)


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
