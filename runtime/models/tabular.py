"""A small network for tables of numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TabularNet(nn.Module):
    """Standardises each column with the training set's mean and deviation (kept in the weights), then two hidden layers."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, columns: int, classes: int = 2, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))
        self.layers = nn.Sequential(
            nn.Linear(columns, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, classes),
        )

    def fit_columns(self, rows: Tensor) -> None:
        """Learn each column's mean and deviation from Tensor[rows, columns]; a constant column keeps deviation 1."""
        self.mean.copy_(rows.mean(dim=0))
        deviation = rows.std(dim=0)
        self.deviation.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, rows: Tensor) -> Tensor:
        """Tensor[batch, columns] of raw values -> logits Tensor[batch, classes]."""
        return self.layers((rows - self.mean) / self.deviation)

    def predict(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities Tensor[batch, classes] and the likeliest class Tensor[batch]."""
        probabilities = torch.softmax(self(rows), dim=-1)
        return probabilities, probabilities.argmax(dim=-1)
