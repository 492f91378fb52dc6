"""What a model needs for the labels that it keeps: the price that they have paid.

    1/N sum_n min_z  [ BCE(x_n, decoder(z, e_label)) + |z|^2 / 2 ]

for real test images of each kept label under that label itself. What a model needs beyond its
original is the *cost* of its forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import DescriptionConfig
from ..models.cvae import one_hot
from .description import code_length
from .task import MetricTask

NAME = "kept labels (nats)"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings(DescriptionConfig):
    """`images` of each kept label."""

    images: int = 100


def measure(task: MetricTask) -> Tensor:
    """The nats (kept labels, N) of real test images of each kept label under its label."""
    labels: Sequence[int] = [k for k in range(task.data.classes) if k not in task.forget]
    real = [task.data.of(label, task.settings.images, test=True) for label in labels]
    count = min(map(len, real))
    x = torch.cat([images[:count] for images in real])
    c = one_hot(labels, task.data.classes, x.device).repeat_interleave(count, 0)
    progress = f"codes of kept labels, {task.name}"
    nats = code_length(task.model, x, c, task.settings, progress=progress)
    return nats.view(len(labels), -1)
