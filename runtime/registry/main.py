"""The model registry from the command line.

    python -m runtime.registry.main list
    python -m runtime.registry.main show digits@champion
    python -m runtime.registry.main alias digits champion 3
    python -m runtime.registry.main search "metrics.accuracy > 0.9 and tags.team = 'risk'"
    python -m runtime.registry.main copy digits@champion --to gcp.json --alias champion

Each takes `--json`. The platform is what `ISTHMUS_SETTINGS` and `CLOUD_PROVIDER` say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters import Adapters, connect
from adapters.errors import Invalid
from adapters.ports import ModelVersion
from adapters.settings import Settings
from runtime.command import OK, Command
from runtime.domain.number import whole_number
from runtime.domain.reference import Reference
from runtime.registry.table import print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("runtime.registry.main", "The model registry: list, show, alias, search, copy.")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="list | show | alias | search | copy")
    adding = {"list": "all models", "show": "one version", "alias": "move an alias", "search": "find versions"}
    parsers = {
        verb: verbs.add_parser(verb, help=text, module=f"runtime.registry.main {verb}", description=text)
        for verb, text in (adding | {"copy": "copy a version to another platform"}).items()
    }
    parsers["show"].add_argument("reference", help="NAME, NAME@ALIAS or NAME:VERSION")
    parsers["alias"].add_argument("model")
    parsers["alias"].add_argument("alias")
    parsers["alias"].add_argument("version", help="a number, or `none` to remove the alias")
    parsers["search"].add_argument("expression", help="such as \"metrics.accuracy > 0.9 and tags.team = 'risk'\"")
    parsers["copy"].add_argument("reference", help="NAME, NAME@ALIAS or NAME:VERSION")
    parsers["copy"].add_argument(
        "--to", required=True, metavar="SETTINGS", help="the other platform's settings document"
    )
    parsers["copy"].add_argument("--alias", default="", help="point this alias at the copy")
    for parser in parsers.values():
        parser.add_argument("--json", action="store_true")
    return command.run(_run, arguments)


def _run(options: argparse.Namespace) -> int:
    with connect(Settings.load()) as platform:
        return ACTIONS[options.verb](platform, options)


def _list(platform: Adapters, options: argparse.Namespace) -> int:
    rows = []
    for name in platform.registry.models():
        versions = platform.registry.versions(name)
        aliases = {alias: version.version for version in versions for alias in version.aliases}
        rows.append({"model": name, "versions": len(versions), "newest": versions[0].version, "aliases": aliases})
    if options.json:
        return _json(rows)
    print_table(
        ("model", "versions", "newest", "aliases"),
        [(row["model"], row["versions"], row["newest"], _pairs(row["aliases"])) for row in rows],
        empty="no model is registered yet: python -m runtime.train.main digits",
    )
    return OK


def _show(platform: Adapters, options: argparse.Namespace) -> int:
    version = _get(platform, options.reference)
    if options.json:
        return _json(_facts(version))
    facts = _facts(version)
    rows = [(name, str(facts[name])) for name in ("model", "version", "created", "digest")]
    rows += [("aliases", ", ".join(version.aliases))] if version.aliases else []
    for part in ("metrics", "params", "lineage", "tags"):
        rows += [(f"{part}.{name}", _number(value)) for name, value in sorted(facts[part].items())]
    rows += [(f"file {file['name']}", f"{file['size_bytes']} bytes, {file['sha256']}") for file in facts["artifacts"]]
    print_table(("what", "value"), rows)
    return OK


def _alias(platform: Adapters, options: argparse.Namespace) -> int:
    number = None if options.version == "none" else _version_number(options.version)
    epoch = platform.registry.set_alias(options.model, options.alias, number)
    if options.json:
        return _json({"model": options.model, "alias": options.alias, "version": number, "epoch": epoch})
    print(f"{options.model}@{options.alias} is " + ("removed" if number is None else f"version {number}"))
    return OK


def _search(platform: Adapters, options: argparse.Namespace) -> int:
    found = platform.registry.search(options.expression)
    if options.json:
        return _json([_facts(version) for version in found])
    print_table(
        ("model", "version", "aliases", "metrics"),
        [(each.model, each.version, ", ".join(each.aliases), _pairs(each.metrics)) for each in found],
        empty="no version matches",
    )
    return OK


def _copy(platform: Adapters, options: argparse.Namespace) -> int:
    from adapters.transfer import copy_model

    reference = _reference(options.reference)
    with connect(Settings.load(options.to, environ={})) as other:
        made = copy_model(
            platform.registry, other.registry, reference.model, reference.version, origin=platform.settings.label
        )
        if options.alias:
            other.registry.set_alias(made.model, options.alias, made.version)
        if options.json:
            return _json(_facts(other.registry.get(made.model, made.version)) | {"cloud": other.settings.label})
        print(f"{options.reference} is {made.model}:{made.version} on {other.settings.label}, digest {made.digest}")
    return OK


ACTIONS = {"list": _list, "show": _show, "alias": _alias, "search": _search, "copy": _copy}


def _get(platform: Adapters, text: str) -> ModelVersion:
    reference = _reference(text)
    if "@" in text or ":" in text:
        return platform.registry.get(reference.model, reference.version)
    return platform.registry.versions(reference.model)[0]


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _version_number(text: str) -> int:
    if number := whole_number(text):
        return number
    raise Invalid(f"{text[:80]!r} is no version", cure="give its number, or `none` to remove the alias")


def _facts(version: ModelVersion) -> dict[str, Any]:
    return msgspec.to_builtins(version)


def _json(value: Any) -> int:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
    return OK


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _pairs(mapping: Any) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in mapping.items())


if __name__ == "__main__":
    sys.exit(main())
