"""A pytest plugin that prints which driver keeps which promise, and holds known differences to what is said of them.

A suite of `adapters.conformance` whose class is named `<Port>Suite` gives the port, the class that runs it the driver,
each test a promise. A class whose `server_name` is in `adapters.conformance.differences` has those promises turned round.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from adapters.conformance import differences
from adapters.errors import AdapterError

PLACE = "conformance"
DIFFERS = "differs"
OK, DIFFERENT, FAILED = "ok", "differs", "FAILED"
WORSE = {"": 0, OK: 1, DIFFERENT: 2, FAILED: 3}

Results = dict[str, dict[str, dict[str, str]]]
"""Port, promise, driver: the worst of its cases."""

_results = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty matrix."""
    config.stash[_results] = {}
    config.pluginmanager.register(_Recorder(config.stash[_results]), "conformance-recorder")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Write on each test which promise of which port it proves for which driver."""
    for item in items:
        suite = _suite(item)
        if suite is not None and isinstance(item, pytest.Function) and item.cls is not None:
            driver = item.cls.__name__.removeprefix("Test")
            item.user_properties.append((PLACE, (suite.removesuffix("Suite"), driver, item.originalname)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Where a difference is known the promise's test must fail and the difference's own must pass."""
    server = getattr(pyfuncitem.cls, "server_name", "")
    difference = differences.known(server, pyfuncitem.name, pyfuncitem.originalname) if server else None
    if difference is None:
        return None
    given: dict[str, Any] = dict(pyfuncitem.funcargs)
    try:
        pyfuncitem.obj(**{name: given[name] for name in inspect.signature(pyfuncitem.obj).parameters})
    except (AssertionError, AdapterError, pytest.fail.Exception):
        if "place" in given:
            given["place"] += "instead/"  # apart from what the promise's test left behind
        difference.shown_by(**{name: given[name] for name in inspect.signature(difference.shown_by).parameters})
    else:
        pytest.fail(f"{server} keeps this promise now: take it out of adapters/conformance/differences.py")
    pyfuncitem.user_properties.append((DIFFERS, difference.instead))
    return True


class _Recorder:
    def __init__(self, results: Results) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties: dict[str, Any] = dict(report.user_properties)
        if PLACE not in properties or (report.passed and report.when != "call"):
            return
        port, driver, promise = properties[PLACE]
        outcome = (DIFFERENT if DIFFERS in properties else OK) if report.passed else FAILED
        drivers = self._results.setdefault(port, {}).setdefault(promise, {})
        drivers[driver] = max(drivers.get(driver, ""), outcome, key=WORSE.__getitem__)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print a table for each port."""
    for port, promises in config.stash[_results].items():
        terminalreporter.section(f"{port}: {len(promises)} promises")
        for line in table(promises):
            terminalreporter.write_line(line)


def table(promises: dict[str, dict[str, str]]) -> Iterable[str]:
    """The lines of one port's matrix: a column for each driver, a row for each promise."""
    drivers = list(dict.fromkeys(driver for row in promises.values() for driver in row))
    names = {promise: differences.sentence(promise) for promise in promises}
    first = max(map(len, names.values()))
    widths = [max(len(driver), len(DIFFERENT)) for driver in drivers]

    def line(name: str, cells: Iterable[str]) -> str:
        return "  ".join([name.ljust(first), *(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))])

    yield line("", drivers)
    for promise, row in promises.items():
        yield line(names[promise], [row.get(driver, "-") for driver in drivers])
    kept = sum(outcome == OK for row in promises.values() for outcome in row.values())
    rest = sum(outcome == DIFFERENT for row in promises.values() for outcome in row.values())
    broken = sum(outcome == FAILED for row in promises.values() for outcome in row.values())
    yield f"{kept} kept, {rest} differ as docs/storage.md says, {broken} FAILED; - means that it does not apply"


def _suite(item: pytest.Item) -> str | None:
    for kind in getattr(getattr(item, "cls", None), "__mro__", ()):
        if kind.__module__.startswith("adapters.conformance.") and kind.__name__.endswith("Suite"):
            return kind.__name__
    return None
