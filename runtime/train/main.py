"""Train models and register them.

    python -m runtime.train.main digits tumor
    python -m runtime.train.main tumor --seed 7 --set learning_rate=0.001 --json
    python -m runtime.train.main path/to/file.py:recipe --epochs 5

The platform is what `ISTHMUS_SETTINGS` and `CLOUD_PROVIDER` say. Exits 0, 2 for input that cannot be right, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.command import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("runtime.train.main", "Train models and register them.")
    command.add_argument(
        "models", nargs="+", metavar="model", help="digits, tumor, path/to/file.py:recipe or my.module:recipe"
    )
    command.add_argument("--epochs", help="passes over the training rows; short for --set epochs=N")
    command.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set one of the recipe's parameters"
    )
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    command.add_argument("--force", action="store_true", help="train even if this very run is in the registry")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    return command.run(lambda options: _train(command, options), arguments)


def _train(command: Command, options: argparse.Namespace) -> int:
    from adapters import connect
    from adapters.settings import Settings
    from runtime.train.catalogue import find_recipe

    if not 0 <= options.seed < 2**63:
        command.error(f"--seed must be 0 to {2**63 - 1}, not {options.seed}")
    overrides = command.assignments(options.set)
    if options.epochs is not None:
        overrides["epochs"] = options.epochs
    found = {place: find_recipe(place) for place in options.models}

    from runtime.registry.package import pick_device
    from runtime.train.progress import progress
    from runtime.train.run import run

    for recipe, _ in found.values():
        recipe.settle(overrides)
    device = pick_device(options.device)
    with connect(Settings.load()) as platform:
        for place, (recipe, module) in found.items():
            told = progress(as_json=options.json)
            try:
                run(
                    platform.registry,
                    recipe,
                    module,
                    told,
                    place=place,
                    overrides=overrides,
                    seed=options.seed,
                    device=device,
                    force=options.force,
                )
            finally:
                told.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
