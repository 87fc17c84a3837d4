"""What models, files, aliases and measurements may be called. Checked once, where they enter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.errors import Invalid

MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,99}")
LIKE_A_NUMBER = re.compile(r"v?[0-9]+")
RESERVED_ALIASES = frozenset({"latest"})
"""MLflow resolves `latest` itself; an alias of that name would mean two things."""

UNSAFE = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|\ud800-\udfff]")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".cloudpickle", ".bin")
MAX_FILE_NAME_BYTES = 512
MAX_KEY_CHARACTERS = 250


def check_model(name: str) -> str:
    """`name`, if a model may be called so: it becomes part of keys and URLs on every cloud. Raises Invalid."""
    if not isinstance(name, str) or not MODEL.fullmatch(name):
        raise Invalid(
            "not a name for a model",
            name=repr(name),
            cure="use 1 to 100 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        )
    return name


def check_alias(name: str) -> str:
    """`name`, if an alias may be called so: never what could be read as a version's number. Raises Invalid."""
    if not isinstance(name, str) or not ALIAS.fullmatch(name):
        raise Invalid(
            "not a name for an alias",
            name=repr(name),
            cure="use 1 to 100 of a-z, 0-9, '.', '_' and '-', beginning with a letter",
        )
    if LIKE_A_NUMBER.fullmatch(name) or name in RESERVED_ALIASES:
        raise Invalid(
            "an alias may not read like a version", name=repr(name), cure="name what it is for, such as 'champion'"
        )
    return name


def check_files(names: Iterable[str]) -> None:
    """Raises Invalid unless these are relative paths that any file system can hold in one folder, none of a pickle."""
    spelled: dict[str, str] = {}
    for name in names:
        _check_file(name)
        if (other := spelled.setdefault(name.casefold(), name)) != name:
            raise Invalid(
                f"differs from {other!r} only in case", name=repr(name), cure="some file systems cannot hold both"
            )
    if not spelled:
        raise Invalid("a version needs at least one file", name="files", cure="pass a mapping of name to bytes or path")
    for name in spelled:
        for folder in _folders(name):
            if folder in spelled:
                raise Invalid(
                    f"{spelled[folder]!r} is a file and a folder at once", name=repr(spelled[name]), cure="rename one"
                )


def _check_file(name: str) -> None:
    if not isinstance(name, str) or not name or UNSAFE.search(name) or len(name.encode()) > MAX_FILE_NAME_BYTES:
        raise Invalid(
            f'not a file name: 1 to {MAX_FILE_NAME_BYTES} bytes without control characters or any of \\ : * ? " < > |',
            name=ascii(name),
            cure="rename the file",
        )
    if any(part in ("", ".", "..") or part != part.strip() for part in name.split("/")):
        raise Invalid(
            "a file's name is a path inside the version, without '.', '..', empty parts or spaces around them",
            name=repr(name),
            cure="such as 'weights.safetensors' or 'tokenizer/vocab.json'",
        )
    if name.lower().endswith(PICKLES):
        raise Invalid(
            "files of this kind are pickles, which run code when loaded: no pickle anywhere",
            name=repr(name),
            cure="save weights as .safetensors and the rest as .json or .onnx",
        )


def _folders(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def check_facts(
    *,
    metrics: Mapping[str, float] | None,
    params: Mapping[str, str] | None,
    lineage: Mapping[str, str] | None,
    tags: Mapping[str, str] | None,
) -> dict[str, Any]:
    """What is registered of a version beside its files, checked and copied, by field of the record. Raises Invalid."""
    return {
        "metrics": check_metrics(metrics),
        "params": check_texts("params", params),
        "lineage": check_texts("lineage", lineage),
        "tags": check_texts("tags", tags),
    }


def check_metrics(metrics: Mapping[str, float] | None) -> dict[str, float]:
    """Finite numbers by name. Raises Invalid: a metric that is not a number must never look like one."""
    checked: dict[str, float] = {}
    for name, value in (metrics or {}).items():
        _check_key("metrics", name)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise Invalid(
                f"a metric is a finite number, not {value!r}",
                name=f"metrics.{name}",
                cure="leave it out: a missing metric matches no search and passes no gate",
            )
        checked[name] = float(value)
    return checked


def check_texts(what: str, texts: Mapping[str, str] | None) -> dict[str, str]:
    """Texts by name, for params, lineage and tags. Raises Invalid."""
    for name, value in (texts or {}).items():
        _check_key(what, name)
        _check_text(f"{what}.{name}", value)
    return dict(texts or {})


def check_tag_changes(tags: Mapping[str, str | None]) -> dict[str, str | None]:
    """Texts by name, or None to remove one. Raises Invalid."""
    check_texts("tags", {name: value for name, value in tags.items() if value is not None})
    for name in tags:
        _check_key("tags", name)
    return dict(tags)


def _check_key(what: str, name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_KEY_CHARACTERS or not name.isprintable() or "`" in name:
        raise Invalid(
            f"a name in {what} is 1 to {MAX_KEY_CHARACTERS} printable characters without a backtick",
            name=ascii(name),
            cure="rename it",
        )


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise Invalid(f"expected a text, not {type(value).__name__} {value!r}", name=name, cure="str() it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Invalid("a text must be valid Unicode", name=name, cure="decode it with errors='replace'") from error
