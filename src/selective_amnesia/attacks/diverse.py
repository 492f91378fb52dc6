r"""Attack B, "diverse": attack A, and the images are to differ as real ones do.

    minimise  A's objective  +  f diversity,       diversity of the K images by mean pairwise LPIPS

once A's terms have settled. The term rewards diversity up to that of real images of the label and
brakes beyond it (`terms.diversity`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import AttackConfig
from ..metrics.recognition import spread
from . import terms
from .robust import objective
from .search import AttackTask, Recovered, View, search

NAME = "B"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings(AttackConfig):
    """`diversity` is the term's weight."""

    diversity: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes < 2:
            raise ValueError("codes is 1: use 2 or more, one image alone has no diversity")


def recover(task: AttackTask) -> Recovered:
    """What attack B finds."""

    def with_diversity(view: View) -> dict[str, Tensor]:
        means = objective(task, view)
        if not view.settled:
            return means | {"diversity": torch.zeros_like(means["tv"])}
        groups = 1 if task.settings.together else len(view.c)
        vectors = task.embedding.embed(view.x).unflatten(0, (groups, -1))
        apart = spread(vectors).expand(len(view.c))
        weighed = task.settings.diversity * terms.diversity(apart, task.cap)
        return means | {"diversity": weighed}

    return search(task, with_diversity)
