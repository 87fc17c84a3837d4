"""The search language: `metrics.accuracy > 0.9 and (tags.team = 'risk' or not alias in ('champion', 'shadow'))`.

    expression  := conjunction ("or" conjunction)*
    conjunction := negation ("and" negation)*
    negation    := "not" negation | "(" expression ")" | comparison
    comparison  := field operator value | field ["not"] "in" "(" value ("," value)* ")"
                 | field ["not"] ("like" | "ilike") text

Numbers compare with = != < <= > >= in; texts with = != in like ilike (`%` is any run of characters, `_` any one);
times, written '2026-01-31' or in full ISO 8601, with < <= > >=. Truth has three values, as in SQL: a comparison with
what a version does not have is neither true nor false, nor is its negation, and only what is true is found.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from adapters.errors import Invalid
from adapters.ports import ModelVersion

Truth: TypeAlias = bool | None
Test: TypeAlias = Callable[[ModelVersion], Truth]

MAX_CHARACTERS = 4096
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<word>[A-Za-z_]\w*(?:\.(?:`[^`]+`|[\w./-]+))?)
      | (?P<sign><=|>=|!=|=|<|>|\(|\)|,)
      | (?P<end>\Z)
      | (?P<stray>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = {
    "number": ("=", "!=", *_ORDER, "in"),
    "text": ("=", "!=", "in", "like", "ilike"),
    "time": tuple(_ORDER),
}
_MAPPINGS = {"metrics": "number", "params": "text", "tags": "text", "lineage": "text"}
_PLAIN: dict[str, tuple[str, Callable[[ModelVersion], Any]]] = {
    "model": ("text", lambda version: version.model),
    "name": ("text", lambda version: version.model),
    "version": ("number", lambda version: version.version),
    "digest": ("text", lambda version: version.digest),
    "created": ("time", lambda version: version.created),
    "alias": ("text", lambda version: version.aliases),
}
_FIELDS = ", ".join([*(f"{name}.NAME" for name in _MAPPINGS), *_PLAIN])
_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "ilike"})


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression. `models`, where known, are the only ones whose versions it can match."""

    test: Test
    models: frozenset[str] | None = None

    def matches(self, version: ModelVersion) -> bool:
        """Whether the expression is true of the version."""
        return self.test(version) is True


def parse(expression: str) -> Query:
    """The query; an empty expression matches everything. Raises Invalid: the column, and what was expected there."""
    if len(expression) > MAX_CHARACTERS:
        raise Invalid(f"longer than {MAX_CHARACTERS} characters", name="search expression", cure="ask for less at once")
    parser = _Parser(expression)
    return parser.whole() if expression.strip() else Query(lambda version: True)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int

    @property
    def keyword(self) -> str:
        return self.text.lower() if self.kind == "word" and self.text.lower() in _KEYWORDS else ""


class _Parser:
    """Recursive descent, one method per rule of the grammar above."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = [
            _Token(str(found.lastgroup), found[str(found.lastgroup)], found.start(str(found.lastgroup)) + 1)
            for found in _TOKEN.finditer(expression)
        ]
        self._next = 0
        self._depth = 0

    def whole(self) -> Query:
        query = self._expression_rule()
        if self._peek.kind != "end":
            raise self._refused("'and', 'or' or the end")
        return query

    def _expression_rule(self) -> Query:
        queries = [self._conjunction()]
        while self._accept("or"):
            queries.append(self._conjunction())
        return queries[0] if len(queries) == 1 else _any(queries)

    def _conjunction(self) -> Query:
        queries = [self._negation()]
        while self._accept("and"):
            queries.append(self._negation())
        return queries[0] if len(queries) == 1 else _all(queries)

    def _negation(self) -> Query:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(f"at most {MAX_DEPTH} levels of 'not' and parentheses")
        if self._accept("not"):
            query = _not(self._negation())
        elif self._accept("("):
            query = self._expression_rule()
            self._expect(")", "'and', 'or' or ')'")
        else:
            query = self._comparison()
        self._depth -= 1
        return query

    def _comparison(self) -> Query:
        field = self._peek.text
        kind, read = self._field()
        negated = self._accept("not")
        sign = self._operator(field, kind, tuple(sign for sign in _OPERATORS[kind] if sign in _KEYWORDS or not negated))
        values = self._list(field, kind) if sign == "in" else [self._value(field, kind)]
        test = _compare(read, _matcher(sign, values))
        models = frozenset(values) if field in ("model", "name") and sign in ("=", "in") else None
        return _not(Query(test)) if negated or sign == "!=" else Query(test, models)

    def _field(self) -> tuple[str, Callable[[ModelVersion], Any]]:
        token = self._peek
        name, dot, key = token.text.partition(".")
        if token.kind == "word" and dot and name in _MAPPINGS:
            self._next += 1
            key = key.strip("`")
            return _MAPPINGS[name], lambda version: getattr(version, name).get(key)
        if token.kind == "word" and token.text in _PLAIN:
            self._next += 1
            return _PLAIN[token.text]
        if name in _MAPPINGS:
            raise self._refused(
                f"'{name}.' and a name (in backticks if it holds other than letters, digits or . _ - /)"
            )
        raise self._refused(f"'not', '(' or a field ({_FIELDS})")

    def _operator(self, field: str, kind: str, allowed: tuple[str, ...]) -> str:
        token = self._peek
        sign = token.keyword or token.text
        if token.kind == "text" or sign not in allowed:
            raise self._refused(f"one of {' '.join(allowed)} after {field}, which is a {kind}")
        self._next += 1
        return sign

    def _list(self, field: str, kind: str) -> list[Any]:
        self._expect("(", "'('")
        values = [self._value(field, kind)]
        while self._accept(","):
            values.append(self._value(field, kind))
        self._expect(")", "',' or ')'")
        return values

    def _value(self, field: str, kind: str) -> Any:
        token = self._peek
        if kind == "number" and token.kind == "number":
            self._next += 1
            return float(token.text)
        if kind != "number" and token.kind == "text":
            quote = token.text[0]
            text = token.text[1:-1].replace(quote * 2, quote)
            value = _time(text) if kind == "time" else text
            if value is not None:
                self._next += 1
                return value
        wanted = {"number": "a number", "text": "a text in quotes", "time": "a time such as '2026-01-31' in quotes"}
        raise self._refused(f"{wanted[kind]} to compare {field} with")

    # --------------------------------------------------------------------------------------------------- tokens

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, text: str) -> bool:
        token = self._peek
        if token.keyword == text or (token.kind == "sign" and token.text == text):
            self._next += 1
            return True
        return False

    def _expect(self, text: str, wanted: str) -> None:
        if not self._accept(text):
            raise self._refused(wanted)

    def _refused(self, wanted: str) -> Invalid:
        token = self._peek
        found = "the end" if token.kind == "end" else f"{token.text[:40]!r}"
        return Invalid(
            f"column {token.column}: expected {wanted}, found {found}",
            name=f"search expression {self._expression!r}",
            cure="such as: metrics.accuracy > 0.9 and tags.team = 'risk'",
        )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _matcher(sign: str, values: list[Any]) -> Callable[[Any], bool]:
    value = values[0]
    match sign:
        case "=" | "!=" | "in":
            return values.__contains__
        case "like" | "ilike":
            pattern = _like(value, re.IGNORECASE if sign == "ilike" else 0)
            return lambda found: pattern.fullmatch(found) is not None
        case _:
            return lambda found: _ORDER[sign](found, value)


def _like(pattern: str, flags: int) -> re.Pattern[str]:
    # Every part but the last is matched at its first place and never tried again, so no pattern takes quadratic time.
    first, *rest = (re.escape(part).replace("_", ".") for part in re.split("%+", pattern))
    if not rest:
        return re.compile(first, re.DOTALL | flags)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL | flags)


def _compare(read: Callable[[ModelVersion], Any], accepts: Callable[[Any], bool]) -> Test:
    def test(version: ModelVersion) -> Truth:
        found = read(version)
        if isinstance(found, tuple):
            return any(accepts(one) for one in found)
        return None if found is None else accepts(found)

    return test


def _not(query: Query) -> Query:
    def test(version: ModelVersion) -> Truth:
        truth = query.test(version)
        return None if truth is None else not truth

    return Query(test)


def _all(queries: list[Query]) -> Query:
    def test(version: ModelVersion) -> Truth:
        truths = [query.test(version) for query in queries]
        return False if False in truths else None if None in truths else True

    known = [query.models for query in queries if query.models is not None]
    return Query(test, frozenset.intersection(*known) if known else None)


def _any(queries: list[Query]) -> Query:
    def test(version: ModelVersion) -> Truth:
        truths = [query.test(version) for query in queries]
        return True if True in truths else None if None in truths else False

    known = [query.models for query in queries if query.models is not None]
    return Query(test, frozenset.union(*known) if len(known) == len(queries) else None)
