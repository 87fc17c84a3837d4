"""A small convolutional network for 8x8 pictures of handwritten digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BRIGHTEST = 16.0
"""The scanner's pixels count 0 to 16."""


class DigitsNet(nn.Module):
    """Two convolutions, one hidden layer: about 40,000 weights at width 32."""

    def __init__(self, width: int = 32, dropout: float = 0.25) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width // 2, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classify = nn.Sequential(
            nn.Flatten(), nn.Linear(width * 4 * 4, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Tensor[batch, 64] of brightness 0 to 16 -> logits Tensor[batch, 10]."""
        return self.classify(self.features(pixels.reshape(-1, 1, 8, 8) / BRIGHTEST))

    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities Tensor[batch, 10] and the likeliest class Tensor[batch]."""
        probabilities = torch.softmax(self(pixels), dim=-1)
        return probabilities, probabilities.argmax(dim=-1)
