"""`make test`: one pytest in each environment, side by side, then one coverage figure over both.

    .venv/bin/python -m tests [--fast] [pytest arguments]

`--fast` runs the unit part alone.
"""

from __future__ import annotations

import os
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
        "unit": ["tests/unit/cli", "tests/unit/infra", "tests/unit/tools", "tests/architecture"],
        "rest": ["tests/infra", "tests/e2e/platform"],
    },
    RUNTIME: {
        "unit": ["tests/unit/adapters", "tests/unit/runtime"],
        "rest": ["tests/conformance", "tests/e2e/runtime"],
    },
}
REQUIRED_COVERAGE = 85  # per cent of lines, of adapters and runtime


def main(arguments: list[str]) -> int:
    """Run it all; 0 when every test passed and coverage holds."""
    fast = "--fast" in arguments
    extra = [argument for argument in arguments if argument != "--fast"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    _coverage("erase")
    started = time.monotonic()
    failed = _pytest("unit", extra, environment)
    print(f"\nthe unit part took {time.monotonic() - started:.1f} s", flush=True)
    if not fast:
        failed |= _pytest("rest", extra, environment)
    _coverage("combine", "--quiet")
    report = _coverage("report", "--include=adapters/*,runtime/*", *([] if fast else [f"--fail-under={REQUIRED_COVERAGE}"]))
    _coverage("report", "--include=infra/*,cli/*,tools/*", "--format=total")
    return 1 if failed or report else 0


def _pytest(part: str, extra: list[str], environment: dict[str, str]) -> bool:
    """Run one part in both environments at once, so that two cores are used; whether anything failed."""
    runs = []
    for python, parts in FOLDERS.items():
        folders = [folder for folder in parts[part] if (ROOT / folder).is_dir()]
        log = ROOT / "build" / f"tests-{part}-{python.parts[-3].removeprefix('.')}.log"
        log.parent.mkdir(exist_ok=True)
        command = [str(python), "-m", "coverage", "run", "-m", "pytest", "-q", *folders, *extra]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT)
        runs.append((process, log, " ".join(folders)))
    failed = False
    for process, log, folders in runs:
        failed |= process.wait() != 0
        print(f"\n== {folders}\n{log.read_text(errors='replace')}", flush=True)
    return failed


def _coverage(*arguments: str) -> int:
    return subprocess.run([str(INFRA), "-m", "coverage", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
