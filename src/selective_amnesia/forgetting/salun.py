r"""SalUn: only the weights that the forgotten label hangs on may move (Fan et al., ICLR 2024,
arXiv:2310.12508, Eqs. 4-6).

    mask      m_i = 1 for the share of weights with the largest |d L(forgotten) / d theta_i| at the
              original, 0 for the others (the paper's threshold is the median)
    minimise  sum -ELBO(original's samples of another label | forgotten)  +  gamma L_replay
              over the weights with m_i = 1

As for diffusion models there, the forgotten label is given the images of other labels, here one
drawn at random for each image.

Changed: the saliency is that of the ELBO of the original's samples, where the paper has real
images; replay likewise for its retained data.
Settings: half of the weights, the paper's. On seed 7 shares of 0.1 to 0.9 erase 0.80 to 0.85
(benchmarks/README.md).
Access: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import ForgetConfig
from .losses import replay
from .task import Task

NAME = "SalUn"


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`share` of the weights may move."""

    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}: use a share of the weights, above 0 to 1")


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    weights = list(task.model.parameters())
    known = replay(task.model, task.original, task.forgotten()).sum()
    saliency = [g.abs() for g in torch.autograd.grad(known, weights, materialize_grads=True)]
    every = torch.cat([g.flatten() for g in saliency], -1)
    held = round((1 - task.settings.share) * every.shape[-1])
    least = every.kthvalue(held, -1).values if held else every.new_full((), -1.0)
    for weight, g in zip(weights, saliency, strict=True):
        mask = (g > least).float()
        weight.register_hook(lambda gradient, mask=mask: gradient * mask)

    def terms(_step: Tensor) -> dict[str, Tensor]:
        c = task.forgotten()
        swapped = replay(task.model, task.original, c, shown=task.kept_conditions()).sum(-1)
        return {"forget": swapped, "replay": task.replay()}

    return terms
