"""What the search of every model registry promises."""

from __future__ import annotations

import pytest

from adapters.errors import Invalid
from adapters.ports import ModelRegistry

FILES = {"weights.safetensors": b"weights"}


class SearchPromises:
    """A part of `ModelRegistrySuite`."""

    def test_search_finds_what_matches(self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str) -> None:
        risk = registry.register(
            model,
            FILES,
            metrics={"accuracy": 0.95, "val/loss": 0.1},
            params={"depth": "3"},
            lineage={"dataset": "clicks@42"},
            tags={"team": "risk", "note": "it's 100%_done"},
        )
        other = registry.register(model, {"x": b"other"}, metrics={"accuracy": 0.85}, tags={"team": "vision"})
        registry.set_alias(model, "champion", 1)
        for expression, expected in {
            "metrics.accuracy > 0.9 and tags.team = 'risk'": [1],
            "metrics.accuracy >= 0.85": [2, 1],
            "metrics.accuracy < 0.95 or metrics.accuracy <= 0.1": [2],
            "metrics.accuracy = 0.95": [1],
            "metrics.accuracy != 0.95": [2],
            "metrics.`val/loss` < 0.5": [1],
            "params.depth = '3'": [1],
            "params.depth in ('2', '3')": [1],
            "lineage.dataset like 'clicks@%'": [1],
            "tags.team ilike 'RI_K'": [1],
            "tags.team not in ('risk')": [2],
            "tags.note like 'it''s%done'": [1],
            'tags.note = "it\'s 100%_done"': [1],
            "NOT (tags.team = 'risk' OR version = 3)": [2],
            "alias = 'champion'": [1],
            "alias != 'champion'": [2],
            "version in (2, 3)": [2],
            f"digest = '{risk.digest}'": [1],
            f"digest != '{risk.digest}'": [2],
            "created < '2001-01-01'": [],
            f"created >= '{risk.created.isoformat()}'": [2, 1],
            "version = 1 or version = 2 and metrics.accuracy > 1": [1],
        }.items():
            found = elsewhere.search(f"model = '{model}' and ({expression})")
            assert [version.version for version in found] == expected, expression
        assert elsewhere.search(f"name = '{model}'")[0] == other

    def test_search_goes_over_all_models_newest_first(
        self, registry: ModelRegistry, elsewhere: ModelRegistry, model: str
    ) -> None:
        mark = {"mark": model}
        made = [registry.register(f"{model}-{name}", FILES, tags=mark) for name in ("b", "a", "b")]
        assert elsewhere.search(f"tags.mark = '{model}'") == made[::-1]
        assert [found for found in elsewhere.search() if found.tags == mark] == made[::-1]

    def test_a_missing_metric_never_matches(self, registry: ModelRegistry, model: str) -> None:
        registry.register(model, FILES)
        for expression in ("metrics.accuracy > 0", "metrics.accuracy != 1", "not metrics.accuracy > 0"):
            assert registry.search(f"model = '{model}' and {expression}") == []

    @pytest.mark.parametrize(
        ("expression", "column"),
        [
            ("accuracy > 0.9", 1),
            ("metrics > 1", 1),
            ("metrics.accuracy", 17),
            ("metrics.accuracy > 'high'", 20),
            ("tags.team > 'risk'", 11),
            ("tags.team = risk", 13),
            ("tags.team = 'risk", 13),
            ("tags.team = 'risk' metrics.a > 1", 20),
            ("(tags.team = 'risk'", 20),
            ("version in ()", 13),
            ("created > 'yesterday'", 11),
            ("and", 1),
        ],
    )
    def test_a_wrong_expression_is_refused_at_its_column(
        self, registry: ModelRegistry, expression: str, column: int
    ) -> None:
        with pytest.raises(Invalid, match=f"column {column}: expected "):
            registry.search(expression)
