"""Classifiers: the judge, which the paper's figures come from, and what is asked of any of them."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)

SEEN = 28  # pixels, the side of what a classifier looks at


class Judge(nn.Module):
    """The paper's small CNN classifier: two convolutions, two linear layers, dropout.

    Attacks may differentiate through it; what they may not touch is the panel.
    """

    facts: dict[str, Any]
    history: dict[str, Tensor]

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.bn1 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.bn2 = nn.BatchNorm2d(20)
        self.drop2 = nn.Dropout2d(0.5)
        self.fc1 = nn.Linear(320, 50)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(50, classes)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, P) to the first convolution's maps (N, 10, 24, 24) and the second's
        (N, 20, 8, 8)."""
        shallow = self.conv1(as_squares(x))
        deep = self.conv2(F.relu(F.max_pool2d(self.bn1(shallow), 2)))
        return shallow, deep

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, P) to logits (N, classes)."""
        return self.classify(self.features(x)[1])

    def classify(self, deep: Tensor) -> Tensor:
        """The second convolution's maps (N, 20, 8, 8) to logits (N, classes)."""
        h = F.relu(F.max_pool2d(self.drop2(self.bn2(deep)), 2)).flatten(1)
        logits: Tensor = self.fc2(self.drop(F.relu(self.fc1(h))))
        return logits


@torch.no_grad()
def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """Images (..., P) to the classifier's probabilities (..., K)."""
    rows = images.reshape(-1, images.shape[-1])
    logits = torch.cat([classifier(part) for part in rows.split(1000)])
    return logits.softmax(-1).view(*images.shape[:-1], -1)


def as_squares(images: Tensor) -> Tensor:
    """Images (N, P) as classifiers look at them, (N, 1, 28, 28): of another size, they are drawn
    larger or smaller."""
    side = side_of(images)
    squares = images.view(-1, 1, side, side)
    if side == SEEN:
        return squares
    return F.interpolate(squares, size=(SEEN, SEEN), mode="bilinear", antialias=True)


def side_of(images: Tensor) -> int:
    """The side of square images (..., P)."""
    return math.isqrt(images.shape[-1])


@torch.no_grad()
def frozen(network: Network) -> Network:
    """A copy that learns nothing more, faster to differentiate through: batch normalisation that
    follows a convolution in a `Sequential` goes into it, maps lie channels last."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for layers in list(network.modules()):
        if isinstance(layers, nn.Sequential):
            for i, (layer, after) in enumerate(pairwise(list(layers))):
                if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                    layers[i] = fuse_conv_bn_eval(layer, after)
                    layers[i + 1] = nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
