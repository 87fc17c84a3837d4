"""Following the registry: every few seconds, and when asked, whether an alias has moved."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from runtime.domain.reference import Reference
from runtime.serve.meters import Meters
from runtime.serve.shelf import Change, Shelf


class Follower:
    """The one that loads models: first all of them, then what changed. Its own thread, so that requests are not held up."""

    def __init__(self, shelf: Shelf, meters: Meters, *, say: Callable[[str], None]) -> None:
        self._shelf, self._meters, self._say = shelf, meters, say
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._jobs: set[Future[None]] = set()
        self.last_failure = ""
        self._said: dict[Reference, str] = {}

    async def first(self, *, every_seconds: float) -> None:
        """Load every model, waiting for those that are not registered yet. Raises what waiting would not mend."""
        while True:
            changes = await self._on_thread(self._shelf.load)
            if self._shelf.ready:
                self.last_failure = ""
                return
            self.last_failure = changes[-1].sentence
            await asyncio.sleep(every_seconds)

    async def look(self) -> list[Change]:
        """One look at the registry, and what it changed."""
        changes = await self._on_thread(self._shelf.refresh)
        failed = [change for change in changes if change.version is None]
        self._meters.reloads += len(changes) - len(failed)
        self._meters.reload_failures += len(failed)
        self.last_failure = failed[-1].sentence if failed else ""
        return changes

    async def follow(self, *, every_seconds: float) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await self.look()
            except Exception as defect:  # what is served goes on being served
                self._meters.reload_failures += 1
                self.last_failure = f"defect: {type(defect).__name__}: {defect}"
                traceback.print_exception(defect)

    def close(self) -> None:
        """Let a load that runs go on by itself, and start no other."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _on_thread(self, work: Callable[[Callable[[Change], None]], None]) -> list[Change]:
        changes: list[Change] = []

        def told(change: Change) -> None:
            changes.append(change)
            if self._said.get(change.reference) != change.sentence:
                self._say(change.sentence)
            self._said[change.reference] = change.sentence

        job = self._thread.submit(work, told)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        await asyncio.wrap_future(job)
        return changes

    @property
    def busy(self) -> bool:
        """Whether a load is running."""
        return bool(self._jobs)
