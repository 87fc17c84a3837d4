"""Runs one Pulumi program in this interpreter: connects the SDK to the engine, then executes the program's file.

Started by `host.py`. Exit codes: 0 done; 32 failed and the reason has been shown; 1 failed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SHOWN = 32
_THREADS_PER_OPERATION = 4


def main() -> int:
    """Run the program that the command line names; returns the exit code."""
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        print(f"{sys.executable} cannot import pulumi ({error}): install the SDK there", file=sys.stderr)
        return SHOWN
    arguments = _arguments()
    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=arguments.monitor,
            engine=arguments.engine,
            project=arguments.project,
            stack=arguments.stack,
            parallel=arguments.parallel,
            dry_run=arguments.dry_run,
            organization=arguments.organization,
            root_directory=arguments.root_directory,
        )
    )
    os.chdir(arguments.pwd)
    # The program sees its own folder first, as if Python had been started with it, and not this one.
    given = Path(arguments.program)
    sys.path[0] = str(given if given.is_dir() else given.parent)
    sys.argv = [arguments.program, *arguments.arguments]
    # A failed program leaves futures nobody waits for; their complaints would bury its own error.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_in_stack(arguments.program, arguments.parallel))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return SHOWN
    except Exception as error:  # whatever a program may raise
        pulumi.log.error(f"the program failed:\n{_own_traceback(error, arguments.program)}")
        return SHOWN
    return 0


async def _in_stack(program: str, parallel: int) -> None:
    import pulumi.runtime

    workers = max(parallel, 1) * _THREADS_PER_OPERATION
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=workers))
    await pulumi.runtime.run_in_stack(lambda: _execute(program))


def _execute(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _own_traceback(error: BaseException, program: str) -> str:
    """The traceback from the program's first line on, without the frames that only led to it."""
    given = Path(program).resolve()
    main = given / "__main__.py" if given.is_dir() else given
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).resolve() != main:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a Pulumi program (started by the language host)")
    for name in ("monitor", "engine", "project", "stack", "organization", "root_directory", "pwd"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--dry_run", action="store_true")
    parser.add_argument("program")
    parser.add_argument("arguments", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
