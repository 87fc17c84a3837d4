"""What people see of a model on MLflow's page: versions, runs with metrics and params, aliases, tags.

It is written for them. The registry itself reads the log, and of a version only the record with which it came to be. So
whatever MLflow cannot show, such as a name with a character that it refuses, is left out here and lost nowhere.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import posixpath
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from adapters.drivers.registry.mlflow_api import MlflowApi, pauses
from adapters.drivers.registry.mlflow_log import ascii_json, from_tags, log_name, to_tags
from adapters.drivers.registry.records import Registered, seal, unseal
from adapters.drivers.registry.state import model_digest
from adapters.errors import AdapterError, Conflict, Corrupt, NotFound, Transient

ID: Final = "isthmus.id"
DIGEST: Final = "isthmus.digest"
LINEAGE: Final = "lineage."
RESERVED: Final = ("isthmus.", "mlflow.", LINEAGE)
SHOWABLE: Final = re.compile(r"[\w./: -]+")
LONGEST_VALUE: Final = 4000
BATCH: Final = 100
"""MLflow takes at most so many params at once."""

_log = logging.getLogger(__name__)


class Page:
    """Writes the page. All but `create` can be done twice."""

    def __init__(self, api: MlflowApi) -> None:
        self._api = api

    def open(self, model: str) -> None:
        """Make the registered models of the versions and of the log, unless they are there."""
        log = f"The changes of {model}, in their order, as Isthmus reads them. Change and delete nothing here."
        for name, description in ((model, "Registered through Isthmus."), (log_name(model), log)):
            with contextlib.suppress(Conflict):
                self._api.post("registered-models/create", {"name": name, "description": description})

    def create(self, model: str, made: Registered, deadline: float) -> int:
        """A new version with all that belongs to it, in one call; its number."""
        id = uuid.uuid4().hex
        record = seal(ascii_json(made), model=model)
        fields: dict[str, Any] = {
            "source": f"isthmus:///registry/blobs/sha256#{model_digest(made.artifacts)}",
            "description": _listing(made),
            "tags": [{"key": ID, "value": id}, *_facts(made), *to_tags(record)],
        }
        if made.metrics or made.params:
            fields["run_id"] = self._run(model, made)
        fault: Transient | None = None
        for _ in pauses(deadline):
            try:
                return self._api.create_version(model, **fields)
            except Transient as error:
                fault = error
            # It may have been made all the same, and must not be made twice.
            for found in self._api.versions(f"name = '{model}' and tags.`{ID}` = '{id}'", most=1):
                return found.number
        raise fault or Transient("no time was left to register", name=model, cure="try again")

    def between(self, model: str, low: int, high: int) -> Iterator[Registered]:
        """What was registered with numbers between these two, lowest first; versions of other programs are left out."""
        where = f"name = '{model}' and version_number > {low} and version_number < {high}"
        for version in self._api.versions(where) if high - low > 1 else ():
            record = from_tags(version)
            if not record:
                continue
            try:
                made, _ = unseal(record, Registered, name=f"MLflow's {model} version {version.number}")
            except Corrupt as error:
                _log.warning("left out: %s", error)
                continue
            yield msgspec.structs.replace(made, version=version.number)

    def show_alias(self, model: str, alias: str, version: int | None) -> None:
        """Let the alias point there."""
        if version is None:
            self._api.delete("registered-models/alias", {"name": model, "alias": alias})
        else:
            fields = {"name": model, "alias": alias, "version": str(version)}
            self._api.post("registered-models/alias", fields)

    def show_tags(self, model: str, version: int, tags: Mapping[str, str | None]) -> None:
        """Let the version have these tags, and not those whose value is None."""
        place = {"name": model, "version": str(version)}
        for name, value in tags.items():
            if not _showable(name) or name.startswith(RESERVED):
                continue
            if value is None:
                self._api.delete("model-versions/delete-tag", {**place, "key": name})
            else:
                self._api.post("model-versions/set-tag", {**place, "key": name, "value": _shown(value)})

    # ------------------------------------------------------------------------------------------------------ runs

    def _run(self, model: str, made: Registered) -> str:
        """A finished run with the version's metrics and params; its id. A lost answer may leave an empty one beside it."""
        now = int(time.time() * 1000)
        experiment = self._experiment(f"isthmus.{model}")
        answer = self._api.post(
            "runs/create",
            {"experiment_id": experiment, "start_time": now, "run_name": model_digest(made.artifacts)[:12]},
        )
        run = answer["run"]["info"]["run_id"]
        metrics = [
            {"key": name, "value": value, "timestamp": now, "step": 0}
            for name, value in made.metrics.items()
            if _showable(name)
        ]
        params = [{"key": name, "value": _shown(value)} for name, value in made.params.items() if _showable(name)]
        for some_metrics, some_params in itertools.zip_longest(_batches(metrics), _batches(params), fillvalue=()):
            self._api.post("runs/log-batch", {"run_id": run, "metrics": some_metrics, "params": some_params})
        self._api.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": now})
        return run

    def _experiment(self, name: str) -> str:
        with contextlib.suppress(NotFound):
            return self._api.get("experiments/get-by-name", {"experiment_name": name})["experiment"]["experiment_id"]
        try:
            return self._api.post("experiments/create", {"name": name})["experiment_id"]
        except Conflict:  # another writer was first
            return self._api.get("experiments/get-by-name", {"experiment_name": name})["experiment"]["experiment_id"]


def converge(look: Callable[[], Any], seen: Callable[[], Any], write: Callable[[Any], None], what: str) -> None:
    """Write what is seen until a new look finds the same: of two that write at once, the later to look mends it.

    A page that could not be written is a warning: the change itself is in the log and must be acknowledged.
    """
    try:
        wanted = seen()
        while True:
            write(wanted)
            shown, wanted = wanted, look()
            if wanted == shown:
                return
    except AdapterError as error:
        _log.warning("%s is not shown by MLflow until it changes again: %s", what, error)


def _facts(made: Registered) -> list[dict[str, str]]:
    shown = {name: value for name, value in made.tags.items() if not name.startswith(RESERVED)}
    shown |= {f"{LINEAGE}{name}": value for name, value in made.lineage.items()}
    shown = {name: _shown(value) for name, value in shown.items() if _showable(name)}
    return [{"key": name, "value": value} for name, value in ({DIGEST: model_digest(made.artifacts)} | shown).items()]


def _listing(made: Registered) -> str:
    lines, room = list[str](), LONGEST_VALUE
    for one in made.artifacts:
        line = f"    {one.sha256}  {one.size_bytes:>14,}  {one.name}"
        room -= len(line) + 1
        if room < 0:
            return "\n".join([*lines, "", f"and {len(made.artifacts) - len(lines)} more files"])
        lines.append(line)
    return "\n".join(lines)


def _showable(name: str) -> bool:
    """Whether MLflow takes it for a name: some characters only, and as a path it must be its own shortest form."""
    return bool(SHOWABLE.fullmatch(name)) and posixpath.normpath(name) == name and not name.startswith(("/", ".."))


def _shown(value: str) -> str:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:LONGEST_VALUE]


def _batches(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
