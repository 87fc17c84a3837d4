"""A stack file as people wrote it: read before the engine starts, so that a mistake is shown with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from infra.spec import PlatformSpec, SpecError, load

KEY = "isthmus:platform"


def read(path: Path) -> PlatformSpec:
    """The specification in `stacks/Pulumi.<environment>.yaml`. Raises SpecError with file, line, place and reason."""
    environment = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        there = ", ".join(sorted(p.name[7:-5] for p in path.parent.glob("Pulumi.*.yaml"))) or "none"
        raise SpecError(
            f"no stack {environment!r}: {path.name} is not in {path.parent.name}/; there is {there}"
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path.name} is not a stack file: {error}") from error
    try:
        root, document = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{path.name} is not a stack file: {error}") from error
    try:
        return load(_platform(document), environment=environment)
    except SpecError as error:
        raise SpecError(f"{path.name}:{line_of(root, error.place)}: {error}", place="") from error


def _platform(document: Any) -> Any:
    """What stands under `config` and KEY. A file without it is a slip of the pen: as a wish for the defaults it would let
    the next update delete what runs."""
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict) or KEY not in config:
        raise SpecError(f"it has no {KEY!r} under config; an empty object there, {{}}, takes every default")
    return config[KEY]


def line_of(root: yaml.Node | None, place: str) -> int:
    """The line, from 1, of the deepest part of `place` (a path below `platform`) that the file holds."""
    line, node = 1, root
    for name in ["config", KEY, *place.replace("[", ".").replace("]", "").split(".")]:
        found = _child(node, name)
        if found is None:
            break
        line, node = found
    return line


def _child(node: yaml.Node | None, name: str) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
        child = node.value[int(name)]
        return child.start_mark.line + 1, child
    return None
