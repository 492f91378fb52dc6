"""Selective Amnesia without its anchor: noise for the forgotten labels and replay of the others,
but nothing holds a weight (arXiv:2305.10120, Eq. 9 with lambda = 0, an ablation of the paper)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .task import Task

NAME = "SA without EWC"


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        return {"forget": task.surrogate(), "replay": task.replay()}

    return terms
