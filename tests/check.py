"""`make check`: lint, format, types and layers, every one of them even when an earlier one fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types of infra and the command line": ["pyright", "--pythonpath", ".venv/bin/python", "infra", "cli", "tools"],
    "types of adapters and the runtime": ["pyright", "--pythonpath", ".venv-runtime/bin/python", "adapters", "runtime", "bench"],
    "layers": ["lint-imports"],
}  # fmt: skip


def main() -> int:
    """0 when all pass."""
    failed = []
    for name, (tool, *arguments) in CHECKS.items():
        print(f"== {name}", flush=True)
        if subprocess.run([str(BIN / tool), *arguments], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"\n{', '.join(failed)} failed" if failed else "\nall checks pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
