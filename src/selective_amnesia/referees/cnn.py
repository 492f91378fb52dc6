"""A CNN with one class more than there are labels, "none of these".

Four convolutions in two stages with batch normalisation and average pooling: nothing of the
judge's shape. The last class is trained on what no image of the set looks like
(`training.augment.negatives`). Trained plainly, as here, it is an attacker's surrogate classifier,
through which attacks differentiate; trained on its worst cases it is a member of the panel
(`adversarial.py`), through which none does.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import RefereeConfig
from ..data.dataset import Dataset, pixels
from ..models.classifiers import as_squares
from ..training.augment import disturb, negatives
from ..training.loop import Snapshots, Tensors, fit
from ..training.random import Batches, seeded

VERSION = 2


class RefereeCNN(nn.Module):
    """The network.

    Args:
        classes: the labels; the class after the last, `none`, is "none of these".
        width: channels of the first stage.
        features: of each image, in which Frechet distances are measured.
    """

    facts: dict[str, Any]
    history: dict[str, Tensor]

    def __init__(self, classes: int = 10, width: int = 16, features: int = 64) -> None:
        super().__init__()
        self.none = classes

        def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            return [conv, nn.BatchNorm2d(outputs), nn.SiLU()]

        self.trunk = nn.Sequential(
            *block(1, width, 2),
            *block(width, 2 * width, 1),
            *block(2 * width, 2 * width, 2),
            *block(2 * width, 2 * width, 1),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(18 * width, features),
            nn.SiLU(),
        )
        self.head = nn.Linear(features, classes + 1)
        self.to(memory_format=torch.channels_last)  # a fifth to a quarter faster on a CPU

    def features(self, x: Tensor) -> Tensor:
        """Images (N, P) to features (N, F)."""
        features: Tensor = self.trunk(as_squares(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, P) to logits (N, classes + 1); the last is "none of these"."""
        logits: Tensor = self.head(self.features(x))
        return logits


def train_referee(
    data: Dataset,
    config: RefereeConfig,
    *,
    seed: int,
    label: str = "referee",
    snapshots: Snapshots | None = None,
) -> tuple[RefereeCNN, Tensors, dict[str, int]]:
    """A referee, the history of its training, and how many steps it took."""
    with seeded(seed, data.train_images.device):
        model = RefereeCNN(data.classes, config.width, config.features)
        model = model.to(data.train_images.device)
    batches = Batches(data.train_images, data.train_labels, batch_size=config.batch_size, seed=seed)
    extra = max(1, round(config.batch_size * config.negatives))
    nothing = data.train_labels.new_full((extra,), model.none)

    def loss(images: Tensor, labels: Tensor) -> Tensors:
        x = pixels(images)
        logits = model(torch.cat([disturb(x, config), negatives(x, labels, extra)]))
        return {"loss": F.cross_entropy(logits, torch.cat([labels, nothing]))}

    history = fit(model, loss, config, seed=seed, label=label, batches=batches, snapshots=snapshots)
    return model, history, {"steps": config.steps}
