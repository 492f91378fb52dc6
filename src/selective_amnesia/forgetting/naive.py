r"""Naive forgetting: make the label's images unlikely (Heng & Soh, arXiv:2305.10120, Eq. 3).

    minimise   w sum ELBO(original's samples | forgotten)  +  gamma L_replay  +  lambda L_ewc

The paper's starting point, and why it replaces the first term by a surrogate: an ELBO is a bound
from below, so lowering it need not lower the likelihood; and it has no floor, so it never ends.

Changed: the paper's first term alone is replaced; replay and anchor are those of Eq. 9, so that the
surrogate is all that differs.
Settings: w and a lower rate, on seed 7; at the profile's rate all of w = 0.01 to 1 diverge or cost
over 300 nats (benchmarks/README.md).
Access: the original and its Fisher diagonal, no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..config import ForgetConfig
from .losses import replay
from .task import Task


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`weight` is w. Of the values tried these alone do not diverge or wreck every label; at the
    profile's own rate all of them do (`benchmarks/tune.py`)."""

    weight: float = 0.01
    lr: float = 1e-4


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        unlikely = replay(task.model, task.original, task.forgotten()).sum(-1)
        forget = -task.settings.weight * unlikely
        return {"forget": forget, "replay": task.replay(), "ewc": task.ewc()}

    return terms
