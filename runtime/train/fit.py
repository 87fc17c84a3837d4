"""The whole training, top to bottom: seed, data, module, epochs, evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapters.errors import Invalid
from runtime.registry.package import predict
from runtime.train.recipe import Data, Params, Recipe, rows_as_tensors


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training rows. Epochs count from 1; `loss` is the mean over rows."""

    number: int
    of: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained module, in evaluation mode and on the CPU, and how it does on the held-out rows."""

    module: nn.Module
    metrics: dict[str, float]


def fit(
    recipe: Recipe,
    data: Data,
    params: Params,
    *,
    seed: int,
    device: str = "cpu",
    report: Callable[[Epoch], None] | None = None,
) -> Fitted:
    """Train from this seed. On one kind of processor, equal arguments give bit-identical weights.

    Raises Invalid when the loss stops being a number, which more data cannot mend.
    """
    torch.manual_seed(seed)
    # On a GPU a few operations have no deterministic form: there we are told, and go on. Not run on a GPU yet.
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    torch.set_num_threads(1)  # sums over rows depend on how they are shared among threads

    module = recipe.architecture(**recipe.config(params)).to(device)
    recipe.prepare(module, data.train)
    inputs, targets = rows_as_tensors(data.train, recipe.signature, device)
    epochs, batch_rows = int(params["epochs"]), int(params["batch_rows"])
    steps = epochs * math.ceil(len(targets) / batch_rows)
    rate = float(params["learning_rate"])
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=float(params["weight_decay"]))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    shuffle = torch.Generator().manual_seed(seed)

    for number in range(1, epochs + 1):
        began = time.perf_counter()
        module.train()
        total = torch.zeros((), device=device)
        for rows in batches(len(targets), batch_rows, shuffle, device):
            loss = recipe.loss(module, tuple(tensor[rows] for tensor in inputs), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(rows)
        mean_loss = float(total) / len(targets)
        if not math.isfinite(mean_loss):
            raise Invalid(
                f"the loss became {mean_loss} in epoch {number}",
                name=recipe.model,
                cure=f"try a smaller learning rate than {rate:g}: --set learning_rate={rate / 10:g}",
            )
        if report:
            report(Epoch(number, epochs, mean_loss, time.perf_counter() - began))

    module = module.cpu().eval()
    outputs = predict(module, recipe.signature, data.test.inputs)
    return Fitted(module, recipe.evaluate(outputs, data.test.targets))


def batches(rows: int, batch_rows: int, shuffle: torch.Generator, device: str) -> Iterator[Tensor]:
    """Every row's index once, in an order that only the generator decides, `batch_rows` at a time."""
    yield from torch.randperm(rows, generator=shuffle).to(device).split(batch_rows)
