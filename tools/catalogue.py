"""What can be installed, in which version and under which licence: the one table of this package."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import folders

ENGINE_VERSION = "3.259.0"
ENGINE_AT_LEAST = (3, 200)
KAFKA_VERSION = "4.3.1"
REDIS_AT_LEAST = (6, 2)
PYTHON_AT_LEAST = (3, 11)


@dataclass(frozen=True)
class Tool:
    """A program that `locate` finds.

    `step` is what to give to `tools/bootstrap.py` to install it, empty where it comes with the checkout; `licence` an
    SPDX expression, empty where it depends on the version that was found.
    """

    name: str
    step: str
    purpose: str
    licence: str = ""


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("python-infra", "infra", "runs the Pulumi program and the command line", "PSF-2.0"),
        Tool("python-runtime", "runtime", "trains and serves", "PSF-2.0"),
        Tool("pulumi", "engine", "brings infrastructure up and takes it down", "Apache-2.0"),
        Tool("pulumi-language-python", "", "runs Python programs for the engine", "Apache-2.0"),
        Tool("seaweedfs", "servers", "object storage with the S3 protocol", "Apache-2.0"),
        Tool("fake-gcs-server", "servers", "object storage with the GCS protocol", "BSD-2-Clause"),
        Tool("redis-server", "servers", "online features, caches, rate limits"),
        Tool("postgres", "servers", "the relational database, for tests", "PostgreSQL"),
        Tool("java", "servers", "runs Kafka", "GPL-2.0-only WITH Classpath-exception-2.0"),
        Tool("kafka", "kafka", "the event log", "Apache-2.0"),
        Tool("mlflow", "mlflow", "an MLflow server, for tests", "Apache-2.0"),
    )
}

# Installed, unpacked and compiled, in megabytes: what must be free on the disk before a step begins. Measured on Linux
# x86_64 and rounded up; torch brings CUDA on Linux only, and the engine needs Go's own caches while it is built.
NEEDED_MB = {
    "infra": 250,
    "runtime": 6500 if sys.platform == "linux" else 1500,
    "dev": 400,
    "servers": 500,
    "kafka": 150,
    "vendor": 250,
    "mlflow": 300,
    "engine": 3300,
    "go": 300,
}

# What the JVM is told whatever runs in it: nothing about memory, which is for whoever starts it to say.
JAVA_FLAGS = ("-Djava.awt.headless=true", "-XX:-UsePerfData", "--sun-misc-unsafe-memory-access=allow")
KAFKA_ARCHIVE = "classes.jsa"


def lock_file(name: str) -> Path:
    """The file that pins every package of one environment with its hashes."""
    return folders.checkout() / "locks" / f"{name}.txt"


def lock_digest(*names: str) -> str:
    """The SHA-256 over these lock files, in hexadecimal: it changes exactly when one of them does."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(lock_file(name).read_bytes())
    return digest.hexdigest()


def engine_folder() -> Path:
    """Where the engine that we build lies."""
    return folders.installed() / f"pulumi-{ENGINE_VERSION}"


def kafka_folder() -> Path:
    """Where Kafka's jars lie."""
    return folders.installed() / f"kafka-{KAFKA_VERSION}"


def servers_folder() -> Path:
    """Where the servers that come as wheels lie; another lock is another folder, so a running one keeps its files."""
    return folders.installed() / f"servers-{lock_digest('servers')[:12]}"


def vendor_folder(vendor: str) -> Path:
    """Where the Pulumi SDK of one cloud lies."""
    return folders.installed() / f"pulumi-{vendor}-{lock_digest(f'pulumi-{vendor}')[:12]}"


def mlflow_folder() -> Path:
    """Where the MLflow server lies."""
    return folders.installed() / f"mlflow-{lock_digest('mlflow')[:12]}"


def redis_licence(version: str, *, valkey: bool) -> str:
    """Redis changed its licence with 7.4 and again with 8.0; what came before is BSD, and so is Valkey."""
    number = parse_version(version)
    if valkey or number < (7, 4):
        return "BSD-3-Clause"
    return "RSALv2 OR SSPL-1.0" if number < (8,) else "RSALv2 OR SSPL-1.0 OR AGPL-3.0-only"


def parse_version(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison: `v3.259.0-rc1` is (3, 259, 0)."""
    numbers = []
    for part in text.strip().lstrip("vV").split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
