"""The terms of an attack's objective.

Features are those of the frozen judge: its first convolution's maps are "shallow", its second's
"deep".

    shape      1 - cos(deep features, the label's mean deep features)
    edge       mean squared distance of the shallow features from the label's mean
    repel      probability of the start label and of the three strongest rivals
    tv         total variation of the image
    diversity  how far the mean pairwise LPIPS of the images is from a cap, either way
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.classifiers import side_of


def shape(deep: Tensor, mean: Tensor) -> Tensor:
    """1 - cosine between deep features (..., C, H, W) and the label's mean (C, H, W): (...)."""
    return 1 - F.cosine_similarity(deep.flatten(-3), mean.flatten(), dim=-1)


def edge(shallow: Tensor, mean: Tensor) -> Tensor:
    """Mean squared distance of shallow features (..., C, H, W) from the mean (C, H, W): (...)."""
    apart = F.mse_loss(shallow, mean.expand_as(shallow), reduction="none")
    return apart.mean((-3, -2, -1))


def repel(p: Tensor, target: int, start: Tensor, rivals: int = 3) -> Tensor:
    """Probability mass (...) on the start label and on the strongest other labels.

    Args:
        p: the judge's probabilities (..., classes).
        target: the label that is sought; it is never a rival.
        start: the label that the search began from, (...) int64.
    """
    others = p.clone()
    others[..., target] = 0
    own = others.gather(-1, start.unsqueeze(-1))
    others = others.scatter(-1, start.unsqueeze(-1), 0)
    return own.squeeze(-1) + others.topk(rivals, -1).values.sum(-1)


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of square images (..., P): (...)."""
    side = side_of(x)
    x = x.unflatten(-1, (side, side))
    down = (x[..., 1:, :] - x[..., :-1, :]).abs().mean((-2, -1))
    right = (x[..., :, 1:] - x[..., :, :-1]).abs().mean((-2, -1))
    return down + right


def diversity(spread: Tensor, cap: float, brake: float = 2.0) -> Tensor:
    """How far a spread (...) falls short of the cap, as a share of it, or `brake` times how far it
    goes beyond."""
    short = 1 - spread / cap
    return torch.where(short > 0, short, -brake * short)
