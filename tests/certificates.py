"""Certificates and signed tokens for tests, made anew each time: nothing here is trusted outside one test session."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

KEY_ID = "test-key"


class Authority:
    """A certificate authority with one server certificate for loopback, and an issuer of JSON web tokens.

    Writes into `folder`: the authority's certificate, the server's key with its certificate, and the issuer's key set.
    """

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self.server_file = folder / "server.pem"
        self.jwks_file = folder / "jwks.json"
        self._issuer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._write_certificates()
        self._write_key_set()

    def token(self, subject: str, *, audience: str, lifetime_seconds: float) -> tuple[str, float]:
        """A token signed with RS256, and when it expires (seconds since the epoch)."""
        expires = time.time() + lifetime_seconds
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {"sub": subject, "aud": audience, "scope": "kafka", "iat": time.time(), "exp": expires}
        signed = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(claims).encode())}"
        signature = self._issuer.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}", expires

    def _write_certificates(self) -> None:
        root_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        root = (
            _certificate(root_name, root_name, root_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        server = (
            _certificate(name, root_name, server_key.public_key())
            .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
            .sign(root_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.ca_file.write_bytes(root.public_bytes(pem))
        private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.server_file.write_bytes(private + server.public_bytes(pem) + root.public_bytes(pem))

    def _write_key_set(self) -> None:
        numbers = self._issuer.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        self.jwks_file.write_text(json.dumps({"keys": [key]}))


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
