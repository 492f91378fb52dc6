"""Selective Amnesia without its anchor: noise for the forgotten labels and replay of the others,
but nothing holds a weight (Heng & Soh, arXiv:2305.10120, an ablation of the paper).

    minimise   sum -ELBO(noise | forgotten)  +  gamma sum -ELBO(replay | kept)

Changed: nothing; it is Eq. 9 with lambda = 0.
Settings: the rate of the others. On seed 7 rates of 0.001 to 0.01 erase 0.79 to 0.91; at the lowest
the label still shows the digit (benchmarks/README.md).
Access: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .task import Task

NAME = "SA without EWC"


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        return {"forget": task.surrogate(), "replay": task.replay()}

    return terms
