"""A task for the launchers' suite: does what its first argument says, and never runs longer than a minute.

python -m adapters.conformance.launcher_task exit 3
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LONGEST_SECONDS = 60


def main(verb: str, *args: str) -> int:
    """Do what `verb` names; the exit code."""
    signal.alarm(LONGEST_SECONDS)
    return VERBS[verb](*args)


def leave(code: str) -> int:
    """Exit with this code."""
    return int(code)


def say(count: str, width: str = "0") -> int:
    """Print this many numbered lines, each filled up to a width."""
    for number in range(int(count)):
        print(f"line {number}".ljust(int(width), "."))
    return 0


def show(name: str) -> int:
    """Print a variable of the environment, as a child of ours finds it."""
    return subprocess.run(["printenv", name], check=False).returncode


def echo(*args: str) -> int:
    """Print the arguments, one a line, and a word on standard error."""
    print("\n".join(args))
    print("on standard error", file=sys.stderr)
    return 0


def wait() -> int:
    """Wait for a signal."""
    print("ready", flush=True)
    time.sleep(LONGEST_SECONDS)
    return 0


def polite(code: str) -> int:
    """Wait for SIGTERM and then exit with this code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(code)))
    return wait()


def stubborn() -> int:
    """Wait and let SIGTERM pass."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return wait()


def kill(number: str) -> int:
    """End by this signal."""
    os.kill(os.getpid(), int(number))
    return wait()


def append(path: str) -> int:
    """Add one line to a file, then exit."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return 0


def family(path: str, then: str) -> int:
    """Start a stubborn child in a process group of its own, write both pids down, and `wait` or `leave`."""
    argv = [sys.executable, "-m", __spec__.name, "stubborn"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, process_group=0)
    assert child.stdout is not None
    child.stdout.readline()
    draft = Path(path).with_suffix(".draft")
    draft.write_text(f"{os.getpid()} {child.pid}")
    draft.rename(path)
    return wait() if then == "wait" else 0


VERBS = {
    "exit": leave,
    "say": say,
    "show": show,
    "echo": echo,
    "wait": wait,
    "polite": polite,
    "stubborn": stubborn,
    "kill": kill,
    "append": append,
    "family": family,
}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
