"""What a metric is asked about, and what it may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..data.dataset import Dataset
from ..models.cvae import Decoder, one_hot
from ..referees.panel import Panel
from .recognition import fresh_images


@dataclass(frozen=True)
class MetricTask:
    """A model, and a label that it claims to have forgotten."""

    model: Decoder
    name: str  # of the model, for progress bars
    label: int
    forget: tuple[int, ...]  # the whole forget set
    data: Dataset
    judge: nn.Module
    panel: Panel
    settings: Any  # the metric's
    seed_of: Callable[[str], int]  # a seed for each name

    def images(self, count: int) -> Tensor:
        """Images (count, P) decoded under the label from fresh codes, the same for every model."""
        c = one_hot([self.label], self.model.classes, self.data.train_images.device)
        return fresh_images(self.model, c, count, self.seed_of("fresh codes"))
