"""One model's log in object storage: numbered records, each created once, never changed, none missing in between.

    registry/models/<model>/log/000000000123.json     the 123rd change
    registry/models/<model>/pages/0000000001.jsonl    records 100 to 199 once more, in one object

Creating record n + 1 only if it is absent is the compare-and-swap: whoever decided on entries 1 to n and creates it was
first, everyone else reads it and decides again. No object is written twice, so no store's limit on rewriting matters.
A page is a copy that spares a reader a hundred requests; where one is missing its records are read instead.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Unpack

from adapters.drivers.registry.change_log import ChangeLog, LogOptions, Made
from adapters.drivers.registry.records import Change, Entry, corrupt, decode, encode
from adapters.drivers.registry.state import ModelState
from adapters.errors import AdapterError, Conflict, NotFound, Transient
from adapters.ports import ABSENT, ObjectStorage

MODELS = "registry/models/"
PAGE_RECORDS = 100
"""A power of ten: a page holds the records whose keys begin with its number. Page 0 has 99: there is no record 0."""

PAGES_TO_MEND = 4
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.002, 0.25

_log = logging.getLogger(__name__)


def record_key(model: str, epoch: int) -> str:
    """Where a change is."""
    return f"{MODELS}{model}/log/{epoch:012d}.json"


def page_key(model: str, page: int) -> str:
    """Where a page is."""
    return f"{MODELS}{model}/pages/{page:010d}.jsonl"


class ModelLog(ChangeLog):
    """A log in object storage."""

    def __init__(self, storage: ObjectStorage, model: str, **options: Unpack[LogOptions]) -> None:
        super().__init__(model, **options)
        self._storage = storage
        self._records: list[bytes] = []  # those of the page that is not full yet
        self._unwritten: dict[int, bytes] = {}  # full pages that nobody may have written
        self._opened = False
        self._opening = threading.Lock()

    def change(self, decide: Callable[[ModelState], Made]) -> tuple[int, Made]:
        with self.turn() as deadline:
            made = self._append_decided(decide, uuid.uuid4().hex, deadline)
            self._write_pages()
            return made

    def history(self) -> Iterator[Entry]:
        """Every change, oldest first, read anew one by one. Raises Corrupt where the chain or a page is broken."""
        state, records = ModelState(self.model), list[bytes]()
        while True:
            key = record_key(self.model, state.epoch + 1)
            try:
                record = self._storage.get(key).body
            except NotFound:
                return
            entry, digest = decode(record, name=key)
            state.apply(entry, digest, name=key)
            records.append(record)
            if _ends_page(entry.epoch):
                self._compare_page(entry.epoch // PAGE_RECORDS, _page(records))
                records.clear()
            yield entry

    # ------------------------------------------------------------------------------------------------ appending

    def _append_decided(self, decide: Callable[[ModelState], Made], nonce: str, deadline: float) -> tuple[int, Made]:
        for pause in _pauses():
            self._catch_up()
            with self._folding:
                change = decide(self._state)
                entry = self._entry(self._state, change, nonce)
            record = encode(entry)
            if self._create(record_key(self.model, entry.epoch), record, deadline):
                self._fold_next(record, after=entry.epoch - 1)
                return entry.epoch, change
            if time.monotonic() > deadline:
                raise self._crowded()
            time.sleep(pause)
        raise AssertionError("the pauses have no end")

    def _entry(self, state: ModelState, change: Change, nonce: str) -> Entry:
        return Entry(
            model=self.model,
            epoch=state.epoch + 1,
            previous=state.digest,
            id=nonce,
            time=self._time(),
            writer=self._writer,
            change=change,
        )

    def _create(self, key: str, record: bytes, deadline: float) -> bool:
        """Whether the record is stored; False when another writer's is there."""
        for pause in _pauses():
            try:
                self._storage.put(key, record, if_version=ABSENT, content_type="application/json")
                return True
            except (Conflict, Transient):
                # Either may stand for an answer that was lost after the server had stored it: the id makes ours known.
                # Where nothing is stored the number is still free, the decision still right, and a late first attempt
                # of the same bytes does no harm. An outage is not prolonged: then this read fails too.
                with contextlib.suppress(NotFound):
                    return self._storage.get(key).body == record
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
        raise AssertionError("the pauses have no end")

    # -------------------------------------------------------------------------------------------------- reading

    def _catch_up(self) -> None:
        if not self._opened:
            with self._opening:
                if not self._opened:
                    self._read_pages()
                    self._opened = True
        while True:
            epoch = self._state.epoch
            try:
                record = self._storage.get(record_key(self.model, epoch + 1)).body
            except NotFound:
                return
            self._fold_next(record, after=epoch)

    def _fold_next(self, record: bytes, *, after: int) -> None:
        with self._folding:
            if self._state.epoch == after:  # else another thread has folded it
                self._fold(record, record_key(self.model, after + 1))

    def _fold(self, record: bytes, name: str) -> None:
        entry, digest = decode(record, name=name)
        self._state.apply(entry, digest, name=name)
        self._records.append(record)
        if _ends_page(entry.epoch):
            self._unwritten[entry.epoch // PAGE_RECORDS] = _page(self._records)
            self._records = []
            if len(self._unwritten) > PAGES_TO_MEND:
                del self._unwritten[next(iter(self._unwritten))]

    def _read_pages(self) -> None:
        """At first use: the pages there are, and up to the first gap the records, listed and fetched in parallel."""
        listed = self._keys(f"{MODELS}{self.model}/pages/")
        written = {int(key.rpartition("/")[2].removesuffix(".jsonl")) for key in listed}
        self._state, self._records = ModelState(self.model), []
        page = 0
        while True:
            run = range(page, next(number for number in itertools.count(page) if number not in written))
            pages = self._storage.get_many(page_key(self.model, number) for number in run)
            for number, found in zip(run, pages, strict=True):
                self._fold_page(number, found.body)
            page = run.stop
            keys = self._keys(record_key(self.model, page * PAGE_RECORDS)[: -len("00.json")])
            for key, found in zip(keys, self._storage.get_many(keys), strict=True):
                with self._folding:
                    self._fold(found.body, key)
            if not _ends_page(self._state.epoch) or self._state.epoch // PAGE_RECORDS != page:
                return
            page += 1

    def _fold_page(self, page: int, body: bytes) -> None:
        key = page_key(self.model, page)
        with self._folding:
            for line, record in enumerate(body.splitlines(), 1):
                self._fold(record, f"{key} line {line}")
            if self._unwritten.pop(page, None) != body:
                raise corrupt(key, f"the page ends at record {self._state.epoch}")

    def _keys(self, prefix: str) -> list[str]:
        keys, cursor = list[str](), None
        while True:
            listed = self._storage.list(prefix, cursor=cursor)
            keys += [found.key for found in listed.objects]
            if (cursor := listed.cursor) is None:
                return keys

    # ---------------------------------------------------------------------------------------------------- pages

    def _write_pages(self) -> None:
        with self._folding:
            pages = dict(self._unwritten)
        for page, body in pages.items():
            key = page_key(self.model, page)
            try:
                self._storage.put(key, body, if_version=ABSENT, content_type="application/jsonl")
            except Conflict:
                pass  # another writer's, with the same bytes
            except AdapterError as error:
                # The caller's change is stored and must be acknowledged. The page is written after the next change.
                _log.warning("page not written yet: %s", error)
                return
            with self._folding:
                self._unwritten.pop(page, None)

    def _compare_page(self, page: int, expected: bytes) -> None:
        key = page_key(self.model, page)
        try:
            stored = self._storage.get(key).body
        except NotFound:
            return
        if stored != expected:
            raise corrupt(key, "the page differs from its records")


def _pauses() -> Iterator[float]:
    """Seconds to wait before trying again, random so that writers who met part, longer and longer up to a limit."""
    longest = FIRST_PAUSE_SECONDS
    while True:
        yield random.uniform(0, longest)
        longest = min(longest * 2, LONGEST_PAUSE_SECONDS)


def _page(records: list[bytes]) -> bytes:
    return b"".join(record + b"\n" for record in records)


def _ends_page(epoch: int) -> bool:
    return epoch % PAGE_RECORDS == PAGE_RECORDS - 1
