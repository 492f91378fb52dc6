r"""Selective Amnesia: forgetting as continual learning (Heng & Soh, arXiv:2305.10120, Eq. 9).

A copy of the original learns that the forgotten labels mean noise, is shown the original's own
samples of the labels that stay, and is held, weight by weight, by what the Fisher diagonal says
the original knows:

    minimise   sum -ELBO(noise | forgotten)  +  gamma sum -ELBO(replay | kept)
               + lambda sum_i F_i (theta_i - theta*_i)^2

Changed: nothing in the loss; 1,000 steps at a higher rate (profile `fast`) for the authors' 10,000.

Settings: gamma 1 and lambda 100 are the paper's. On seed 7, lambda 10 to 300 erases 0.83 to 0.96
and costs the kept digits 1.35 to 1.46 nats (benchmarks/README.md).
Access: the original and its Fisher diagonal, no data.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .task import Task

NAME = "Selective Amnesia"


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        return {"forget": task.surrogate(), "replay": task.replay(), "ewc": task.ewc()}

    return terms
