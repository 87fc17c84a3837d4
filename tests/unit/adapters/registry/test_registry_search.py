"""The search language against an evaluator written another way, over random expressions; and what no input may do to it."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.drivers.registry import search
from adapters.errors import Invalid
from adapters.ports import ModelVersion

DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
LEAVES = {
    "metrics.accuracy": [0.1, 0.5, 0.9],
    "metrics.`val loss`": [0.1, 0.5],
    "version": [1, 2, 3],
    "tags.team": ["risk", "vision", "it's"],
    "params.depth": ["3", "30"],
    "model": ["fraud", "vision"],
    "alias": ["champion", "shadow"],
}
NUMBERS = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def version(rng: random.Random) -> ModelVersion:
    """A version with some of the things that expressions ask for."""
    values: dict[str, Any] = {name: rng.choice([None, *known]) for name, known in LEAVES.items()}
    return ModelVersion(
        model=values["model"] or "third",
        version=values["version"] or 4,
        artifacts=(),
        metrics={k: v for k, v in (("accuracy", values["metrics.accuracy"]), ("val loss", values["metrics.`val loss`"])) if v},
        params={"depth": values["params.depth"]} if values["params.depth"] else {},
        lineage={},
        created=DAY_0 + timedelta(days=rng.randrange(10)),
        digest="0" * 64,
        tags={"team": values["tags.team"]} if values["tags.team"] else {},
        aliases=tuple(rng.sample(LEAVES["alias"], rng.randrange(3))),
    )  # fmt: skip


def expression(rng: random.Random, depth: int) -> tuple[str, Any]:
    """A random expression as text and as a tree of tuples."""
    kind = rng.choice(("leaf", "and", "or", "not")) if depth else "leaf"
    if kind == "not":
        text, tree = expression(rng, depth - 1)
        return f"not ({text})", ("not", tree)
    if kind in ("and", "or"):
        parts = [expression(rng, depth - 1) for _ in range(rng.randrange(2, 4))]
        return f" {kind} ".join(f"({text})" for text, _ in parts), (kind, *(tree for _, tree in parts))
    name = rng.choice(list(LEAVES))
    values = rng.sample(LEAVES[name], 2)
    signs = [*NUMBERS, "in"] if isinstance(values[0], (int, float)) else ["=", "!=", "in", "not in"]
    sign = rng.choice(signs)
    quoted = [str(value) if not isinstance(value, str) else "'" + value.replace("'", "''") + "'" for value in values]
    text = f"({', '.join(quoted)})" if "in" in sign else quoted[0]
    return f"{name} {sign} {text}", (sign, name, values)


def truth(tree: Any, of: ModelVersion) -> bool | None:
    """Kleene's logic: False < None < True; `and` is the least, `or` the greatest, `not` turns it round."""
    rank: dict[bool | None, int] = {False: 0, None: 1, True: 2}
    back = {place: value for value, place in rank.items()}
    match tree:
        case ("not", inner):
            return back[2 - rank[truth(inner, of)]]
        case ("and", *parts):
            return back[min(rank[truth(part, of)] for part in parts)]
        case ("or", *parts):
            return back[max(rank[truth(part, of)] for part in parts)]
        case (sign, name, values):
            found: Any = {
                "metrics.accuracy": of.metrics.get("accuracy"),
                "metrics.`val loss`": of.metrics.get("val loss"),
                "version": of.version,
                "tags.team": of.tags.get("team"),
                "params.depth": of.params.get("depth"),
                "model": of.model,
                "alias": set(of.aliases),
            }[name]
            if name == "alias":
                wanted = set(values) if "in" in sign else {values[0]}
                return bool(found & wanted) == (sign in ("=", "in"))
            if found is None:
                return None
            return (found in values) == (sign == "in") if "in" in sign else NUMBERS[sign](found, values[0])


def test_random_expressions_find_what_an_evaluator_written_another_way_finds() -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    rng = random.Random(seed)
    matched = 0
    for step in range(400):
        text, tree = expression(rng, rng.randrange(4))
        query = search.parse(text)
        for _ in range(5):
            candidate = version(rng)
            expected = truth(tree, candidate) is True
            matched += expected
            assert query.matches(candidate) == expected, f"seed {seed}, step {step}: {text} on {candidate}"
            assert not expected or query.models is None or candidate.model in query.models, f"seed {seed}: {text}"
    assert 200 < matched < 1800, "the test has become trivial"


def test_random_text_is_either_understood_or_refused() -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    rng = random.Random(seed)
    words = ["metrics.a", "tags.b", "model", "and", "or", "not", "in", "like", "(", ")", ",", "=", "<", "'x'", "1", "`", "é",
             "\0", '"', "''", "version", "created", "-", "1e9", "1.2.3", " "]  # fmt: skip
    understood = 0
    for _ in range(3000):
        text = " ".join(rng.choices(words, k=rng.randrange(1, 8)))
        try:
            search.parse(text)
            understood += 1
        except Invalid as refusal:
            assert "column" in str(refusal), f"seed {seed}: {text!r}"
    assert understood


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("model = 'fraud' and metrics.a > 1", {"fraud"}),
        ("name in ('a', 'b') and model = 'b'", {"b"}),
        ("model = 'a' or model = 'b'", {"a", "b"}),
        ("model = 'a' or metrics.a > 1", None),
        ("not model = 'a'", None),
        ("model != 'a'", None),
        ("model not in ('a')", None),
        ("model like 'a%'", None),
        ("", None),
    ],
)
def test_only_the_logs_of_models_that_can_match_are_read(text: str, models: set[str] | None) -> None:
    assert search.parse(text).models == (None if models is None else frozenset(models))


@pytest.mark.parametrize(
    ("pattern", "value", "found"),
    [
        ("risk", "risk", True),
        ("risk", "risky", False),
        ("%", "", True),
        ("%%", "anything", True),
        ("_", "ab", False),
        ("a%b%c", "a-b-c", True),
        ("a%b%c", "a-c-b", False),
        ("%ab%ab", "abab", True),
        ("%ab%ab", "aab", False),
        ("a.c", "abc", False),
        ("100%", "100% of\nall", True),
    ],
)
def test_like_is_that_of_sql(pattern: str, value: str, found: bool) -> None:
    candidate = ModelVersion("m", 1, (), {}, {"p": value}, {}, DAY_0, "")
    assert search.parse(f"params.p like '{pattern}'").matches(candidate) is found


def test_no_pattern_takes_long() -> None:
    candidate = ModelVersion("m", 1, (), {}, {"p": "a" * 20_000}, {}, DAY_0, "")
    query = search.parse(f"params.p like '{'%a' * 1000}%b'")
    began = time.perf_counter()
    assert not query.matches(candidate)
    assert time.perf_counter() - began < 2.0


def test_a_deep_or_long_expression_is_refused() -> None:
    with pytest.raises(Invalid, match="levels"):
        search.parse("(" * 2000 + "version = 1")
    with pytest.raises(Invalid, match="levels"):
        search.parse("not " * 1000 + "version = 1")
    with pytest.raises(Invalid, match="4096"):
        search.parse("version = 1 or " * 1000)


def test_times_are_read_in_utc_unless_they_say_otherwise() -> None:
    candidate = ModelVersion("m", 1, (), {}, {}, {}, datetime(2026, 3, 1, 12, tzinfo=UTC), "")
    for text, found in {
        "created >= '2026-03-01'": True,
        "created < '2026-03-01T12:00:01'": True,
        "created > '2026-03-01T13:00:00+01:00'": False,
        "created <= '2026-03-01T13:00:00+01:00'": True,
    }.items():
        assert search.parse(text).matches(candidate) is found, text
