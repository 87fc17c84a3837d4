"""`make test`: one pytest in each environment, side by side, then one coverage figure over both.

    .venv/bin/python -m tests [--fast] [pytest arguments]

`--fast` runs the unit part alone: whatever needs no server, no engine, no torch and no vendor's SDK.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INFRA = ROOT / ".venv" / "bin" / "python"
RUNTIME = ROOT / ".venv-runtime" / "bin" / "python"

# Every test folder belongs to exactly one environment; tests/architecture proves that none is forgotten.
FOLDERS: dict[Path, dict[str, list[str]]] = {
    INFRA: {
        "unit": ["tests/unit/cli", "tests/unit/infra", "tests/unit/tools"],
        "rest": ["tests/architecture", "tests/infra", "tests/rehearsal", "tests/e2e/platform"],
    },
    RUNTIME: {
        "unit": ["tests/unit/adapters", "tests/unit/runtime"],
        "rest": ["tests/runtime", "tests/conformance", "tests/e2e/runtime"],
    },
}
SAY_EVERY_SECONDS = 30.0
REQUIRED_COVERAGE = 85  # per cent of lines, of adapters and runtime


def main(arguments: list[str]) -> int:
    """Run it all; 0 when every test passed and coverage holds."""
    fast = "--fast" in arguments
    extra = [argument for argument in arguments if argument != "--fast"]
    started = time.monotonic()
    if fast:
        failed = _pytest("unit", ["-m", "pytest", *extra])
        print(f"\nthe unit part took {time.monotonic() - started:.1f} s")
        return int(failed)
    _coverage("erase")
    measured = ["-m", "coverage", "run", "-m", "pytest", *extra]
    failed = _pytest("unit", measured)
    print(f"\nthe unit part took {time.monotonic() - started:.1f} s, its coverage measured", flush=True)
    failed |= _pytest("rest", measured)
    _coverage("combine", "--quiet")
    _coverage("report", "--include=infra/*,cli/*,tools/*", "--format=total")
    low = _coverage("report", "--include=adapters/*,runtime/*", f"--fail-under={REQUIRED_COVERAGE}")
    print(f"all of it took {time.monotonic() - started:.0f} s")
    return int(failed or low)


def _pytest(part: str, how: list[str]) -> bool:
    """Run one part in both environments at once, so that two cores are used; whether anything failed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = []
    for python, parts in FOLDERS.items():
        folders = [folder for folder in parts[part] if (ROOT / folder).is_dir()]
        log = ROOT / "build" / f"tests-{part}-{python.parts[-3].removeprefix('.')}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [str(python), *how, "-q", *folders], cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT
            )
        runs.append((process, log, " ".join(folders)))
    _watch(runs)
    for _, log, folders in runs:
        print(f"\n== {folders}\n{log.read_text(errors='replace')}", flush=True)
    return any(process.returncode for process, _, _ in runs)


def _watch(runs: list[tuple[subprocess.Popen[bytes], Path, str]]) -> None:
    """Say every half minute how far each run is, until all have ended."""
    started = said = time.monotonic()
    while any(process.poll() is None for process, _, _ in runs):
        time.sleep(0.05)
        if time.monotonic() - said >= SAY_EVERY_SECONDS:
            said = time.monotonic()
            shares = [
                (re.findall(r"\[ *(\d+%)\]", log.read_text(errors="replace")) or ["0%"])[-1] for _, log, _ in runs
            ]
            parts = ", ".join(
                f"{folders.split()[0]} {share}" for (_, _, folders), share in zip(runs, shares, strict=True)
            )
            print(f"  {said - started:4.0f} s  {parts}", flush=True)


def _coverage(*arguments: str) -> int:
    return subprocess.run([str(INFRA), "-m", "coverage", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
