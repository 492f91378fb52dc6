"""What a model needs for the labels that it keeps, in true nats: the price that they have paid.

    -log p(x | e_label), by importance weighting (`likelihood`),

for real test images of each kept label under that label itself. What a model needs beyond its
original is the *cost* of its forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import WeightingConfig
from ..models.cvae import one_hot
from ..training.random import seeded
from .likelihood import as_pixels, log_likelihood
from .task import MetricTask

NAME = "kept labels (nats)"
VERSION = 3


@dataclass(frozen=True, kw_only=True)
class Settings(WeightingConfig):
    """`images` of each kept label, of the third that is evaluated."""

    images: int = 30


def measure(task: MetricTask) -> Tensor:
    """The nats (kept labels, N) of real test images of each kept label under its label."""
    labels: Sequence[int] = [k for k in range(task.data.classes) if k not in task.forget]
    real = [task.data.third(label, "evaluate", task.settings.images) for label in labels]
    count = min(map(len, real))
    with seeded(task.seed_of("kept"), real[0].device):
        x = as_pixels(torch.cat([images[:count] for images in real]), task.settings.pixels)
        c = one_hot(labels, task.data.classes, x.device).repeat_interleave(count, 0)
        nats = log_likelihood(task.model, x, c, task.settings).nats
    return nats.view(len(labels), -1).cpu()
