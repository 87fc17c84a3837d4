"""Fetch jars by their Maven coordinates into one folder: `python maven_fetch.py FOLDER GROUP:ARTIFACT:VERSION ...`.

It runs under the interpreter that has jgo, prints `got BYTES NAME` as each arrives, and checks nothing: the caller
knows the hashes. `ISTHMUS_MAVEN_REPOSITORY` names a mirror of Maven's central repository.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import MavenContext


def context(folder: Path) -> MavenContext:
    """Maven's central repository or the person's mirror of it, with a repository of its own in `folder`."""
    mirror = os.environ.get("ISTHMUS_MAVEN_REPOSITORY")
    remote = {"mirror": mirror.rstrip("/")} if mirror else None
    return MavenContext(repo_cache=folder, remote_repos=remote, timeout=60)


def main(place: Path, coordinates: list[str]) -> None:
    """Fetch them eight at a time; each appears in `place` only when it is whole."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="maven-") as scratch, ThreadPoolExecutor(8) as pool:
        maven = context(Path(scratch))

        def fetch(coordinate: str) -> Path:
            return maven.create_dependency(coordinate).artifact.resolve()

        for path in pool.map(fetch, coordinates):
            size_bytes = path.stat().st_size
            path.rename(place / path.name)
            print(f"got {size_bytes} {path.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
