"""What a member of the panel learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..training.loop import Snapshots

Tensors = dict[str, Tensor]
Scorer = Callable[[Tensor], Tensor]  # images (N, P) to scores (N, classes)


@dataclass(frozen=True)
class MemberTask:
    """Real images, and images of none of the classes. No image of a model that is to be judged is
    among either."""

    images: Tensor  # (N, P) in [0, 1]
    labels: Tensor  # (N,)
    none: Tensor  # (M, P) images of none of the classes
    classes: int
    settings: Any  # the member's
    seed: int
    snapshots: Snapshots | None = None  # where a long training is kept
