"""The words in braces that a process's arguments, environment and files may use.

`{port.http}` a port, `{file.NAME}` and `{secret_file.NAME}` paths, `{secret.NAME}` a generated secret itself, `{dir}`,
`{data}` and `{log}` paths of the process, `{host}` the loopback address, `{name}` the resource's name. `{{word}}`
stands for `{word}`. Braces around anything else, as in JSON or `${SHELL}`, are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_WORD = r"[a-z][A-Za-z0-9_.-]*"
_REFERENCE = re.compile(rf"\{{\{{(?P<literal>{_WORD})\}}\}}|\{{(?P<word>{_WORD})\}}")
_PLAIN = ("dir", "data", "log", "host", "name")
_KINDS = ("port", "file", "secret", "secret_file")


@dataclass(frozen=True)
class Names:
    """What templates of one process may name."""

    ports: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def of(self, kind: str) -> frozenset[str]:
        """The names that may follow `kind.`."""
        return {"port": self.ports, "file": self.files}.get(kind, self.secrets)


@dataclass(frozen=True)
class Scope:
    """The values behind the words. `secrets` maps names to their text, `paths` the plain words to theirs."""

    plain: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    secret_files: Mapping[str, str] = field(default_factory=dict)

    def value(self, word: str) -> str:
        """What `word` stands for; raises KeyError for what `problems` would have refused."""
        kind, dot, name = word.partition(".")
        if not dot:
            return self.plain[word]
        tables = {"port": self.ports, "file": self.files, "secret": self.secrets, "secret_file": self.secret_files}
        return str(tables[kind][name])


def words(template: str) -> Iterator[str]:
    """The words that `template` refers to."""
    for found in _REFERENCE.finditer(template):
        if found["word"]:
            yield found["word"]


def render(template: str, scope: Scope) -> str:
    """`template` with each word replaced by its value."""
    return _REFERENCE.sub(lambda m: "{" + m["literal"] + "}" if m["literal"] else scope.value(m["word"]), template)


def problems(template: str, names: Names, secrets_allowed: bool = True) -> list[str]:
    """One sentence for each word of `template` that means nothing, or a secret where it would be seen."""
    return [problem for word in words(template) if (problem := _problem(word, names, secrets_allowed))]


def _problem(word: str, names: Names, secrets_allowed: bool) -> str:
    kind, dot, name = word.partition(".")
    if not dot and word in _PLAIN:
        return ""
    if kind not in _KINDS or not dot:
        expected = ", ".join([*_PLAIN, *(f"{kind}.NAME" for kind in _KINDS)])
        return f"{{{word}}} means nothing; expected one of {expected}, or {{{{{word}}}}} for the text itself"
    if name not in names.of(kind):
        declared = ", ".join(sorted(names.of(kind))) or "none"
        return f"{{{word}}} names a {kind.replace('_', ' ')} that is not declared; declared: {declared}"
    if kind == "secret" and not secrets_allowed:
        return f"{{{word}}} would be seen by everyone on this machine; use {{secret_file.{name}}}, env or files"
    return ""
