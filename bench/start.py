"""How long people wait before anything happens: `make bench WHICH=start`.

    python -m bench.start [--json]

`up` on a machine where all is installed and nothing runs (promise: under 60 s, aim 25 s), again when all is up already, and
the imports that every process pays for (promise: `adapters` under 150 ms, no vendor SDK in the local program).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.interleave import load

ROOT = Path(__file__).resolve().parent.parent
INFRA, RUNTIME = ROOT / ".venv/bin/python", ROOT / ".venv-runtime/bin/python"
IMPORTS = {
    "the interpreter alone": (RUNTIME, "pass"),
    "import adapters": (RUNTIME, "import adapters"),
    "import adapters.settings": (RUNTIME, "import adapters.settings"),
    "the local program": (INFRA, "import infra.clouds.local"),
    "the command line's help": (
        INFRA,
        "import sys; sys.argv = ['isthmus', '--help']; import cli.main; cli.main.main()",
    ),
}
REPEATS = 7


def environment(home: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("CLOUD_PROVIDER", "PYTHONDONTWRITEBYTECODE")
    }
    return kept | {"ISTHMUS_HOME": home, "PYTHONPATH": str(ROOT)}


def seconds(command: list[str], home: str) -> float:
    """Wall time of a command that has to succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def main(arguments: list[str]) -> int:
    """Measure and print."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as home:
        isthmus = [str(INFRA), "-m", "cli.main"]
        try:
            figures["up, all installed, nothing stored"] = seconds([*isthmus, "up"], home)
            figures["up, all up already"] = seconds([*isthmus, "up"], home)
            figures["down, data kept"] = seconds([*isthmus, "down"], home)
            figures["up, models stored"] = seconds([*isthmus, "up"], home)
        finally:
            subprocess.run(
                [*isthmus, "down", "--data"], cwd=ROOT, env=environment(home), capture_output=True, check=False
            )
        for name, (python, script) in IMPORTS.items():
            each = [seconds([str(python), "-c", script], home) for _ in range(REPEATS + 1)][1:]
            figures[name] = statistics.median(each)
    if "--json" in arguments:
        print(json.dumps({"load": load(), "seconds": figures}, indent=2))
        return 0
    print(f"load {load()}; imports are medians of {REPEATS} fresh processes, the interpreter's own start included\n")
    for name, value in figures.items():
        print(f"  {name:<36} {value:8.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
