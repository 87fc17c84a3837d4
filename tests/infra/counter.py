"""A small server for the tests: counts its starts in a file, answers over HTTP, and misbehaves when told to.

    counter.py PORT DATA [--worker] [--greeting TEXT] [--die] [--hang] [--gate FILE] [--stubborn]

GET / answers `starts greeting`. --worker starts a child that leaves the session; --die gives its secret away in its log and ends
with code 3; --hang never listens; --gate waits until FILE is there before it listens; --stubborn ignores SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

# Nothing a test leaves behind by mistake outlives it for long.
LIFETIME_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--greeting", default="hello")
    parser.add_argument("--gate", type=Path)
    for flag in ("worker", "die", "hang", "stubborn"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args()
    signal.alarm(LIFETIME_SECONDS)
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    starts = _count(options.data / "starts")
    print(f"start {starts}", flush=True)
    if options.die:
        print(f"my secret is {os.environ.get('COUNTER_SECRET', 'none')}", flush=True)
        sys.exit(3)
    if options.worker:
        nap = f"import signal, time; signal.alarm({LIFETIME_SECONDS}); time.sleep({LIFETIME_SECONDS})"
        worker = subprocess.Popen([sys.executable, "-c", nap], start_new_session=True)
        (options.data / "worker").write_text(str(worker.pid))
    while options.hang or (options.gate and not options.gate.exists()):
        time.sleep(0.02)
    _serve(options.port, f"{starts} {options.greeting}")


def _count(file: Path) -> int:
    starts = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(starts))
    return starts


def _serve(port: int, answer: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            return

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
