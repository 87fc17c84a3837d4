"""Train a model and register it.

    python -m runtime.train.main digits
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
    command = Command("runtime.train.main", "Train a model and register it.")
    command.add_argument("model", help="digits, tumor, path/to/file.py:recipe or my.module:recipe")
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

    overrides = command.assignments(options.set)
    if options.epochs is not None:
        overrides["epochs"] = options.epochs
    recipe, module = find_recipe(options.model)

    from runtime.train.fit import pick_device
    from runtime.train.progress import progress
    from runtime.train.run import run

    recipe.settle(overrides)
    device = pick_device(options.device)
    told = progress(as_json=options.json)
    try:
        with connect(Settings.load()) as platform:
            run(
                platform.registry, recipe, module, told,
                place=options.model, overrides=overrides, seed=options.seed, device=device, force=options.force,
            )  # fmt: skip
    finally:
        told.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
