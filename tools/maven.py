"""Maven without Maven: `python maven.py fetch FOLDER COORDINATES ...` and `python maven.py resolve COORDINATES ...`.

It runs under the interpreter that has jgo, which knows where Maven's central repository is, so that this checkout does
not have to; `ISTHMUS_MAVEN_REPOSITORY` names the person's mirror of it. Coordinates are `group:artifact:version`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jgo.maven import MavenContext  # pyright: ignore[reportMissingImports]  it is only in the servers' environment


@contextmanager
def repository(beside: Path | None = None) -> Iterator[MavenContext]:
    """Maven with a local repository of its own, which goes when the block ends."""
    mirror = os.environ.get("ISTHMUS_MAVEN_REPOSITORY")
    remote = {"mirror": mirror.rstrip("/")} if mirror else None
    with tempfile.TemporaryDirectory(dir=beside, prefix="maven-") as scratch:
        yield MavenContext(repo_cache=Path(scratch), remote_repos=remote, timeout=60)


def files(maven: MavenContext, coordinates: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Fetch these jars eight at a time, in the order given."""
    wanted = list(coordinates)
    with ThreadPoolExecutor(8) as pool:
        paths = pool.map(lambda one: maven.create_dependency(one).artifact.resolve(), wanted)
        yield from zip(wanted, paths, strict=True)


def fetch(place: Path, coordinates: list[str]) -> None:
    """Put each jar into `place` once it is whole, and say so: `got BYTES NAME`. The caller knows the hashes."""
    with repository(place.parent) as maven:
        for _, path in files(maven, coordinates):
            size_bytes = path.stat().st_size
            path.rename(place / path.name)
            print(f"got {size_bytes} {path.name}", flush=True)


def resolve(roots: list[str]) -> None:
    """Print the lock of these roots with all that they need: coordinates, SHA-256, size in bytes.

    Each root is resolved alone and an earlier one decides a version, since what a later one's parent manages (log4j's
    names an old Kafka client) is no business of the earlier one's.
    """
    with repository() as maven:
        chosen: dict[tuple[str, str], str] = {}
        for root in roots:
            inputs, transitive = maven.resolver.resolve([maven.create_dependency(root)])
            for one in (*inputs, *transitive):
                chosen.setdefault((one.groupId, one.artifactId), f"{one.groupId}:{one.artifactId}:{one.version}")
        for coordinates, path in files(maven, sorted(chosen.values())):
            content = path.read_bytes()
            print(f"{coordinates} --hash=sha256:{hashlib.sha256(content).hexdigest()} {len(content)}")


if __name__ == "__main__":
    if sys.argv[1] == "fetch":
        fetch(Path(sys.argv[2]), sys.argv[3:])
    else:
        resolve(sys.argv[2:])
