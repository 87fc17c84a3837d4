"""Finding a recipe by what the person typed."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from adapters.errors import Invalid, NotFound
from runtime.domain.reference import Reference
from runtime.registry import code

if TYPE_CHECKING:
    from runtime.train.recipe import Recipe

BUNDLED = {"digits": "runtime.train.digits", "tumor": "runtime.train.tumor"}


def find_recipe(name: str) -> tuple[Recipe, ModuleType]:
    """A bundled model's recipe by its name, or yours as `path/to/file.py:recipe` or `my.module:recipe`.

    Raises NotFound, listing the bundled models, or Invalid when what is named is no recipe.
    """
    place, _, attribute = name.partition(":")
    if not attribute and name in BUNDLED:
        place, attribute = BUNDLED[name], "recipe"
    if not attribute:
        raise NotFound(
            "no such model",
            name=name,
            cure=f"bundled are {', '.join(sorted(BUNDLED))}; yours is named path/to/file.py:recipe or my.module:recipe",
        )
    module = code.load_module(place)
    recipe = getattr(module, attribute, None)

    from runtime.train.recipe import (
        Recipe,
    )  # torch, which takes seconds to import, only once the name is known to be good

    if not isinstance(recipe, Recipe):
        raise Invalid(f"{attribute!r} is no runtime.train.recipe.Recipe", name=place, cure="see docs/models.md")
    try:
        Reference.parse(recipe.model)
    except ValueError as error:
        raise Invalid(str(error), name=place) from error
    return recipe, module
