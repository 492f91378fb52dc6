"""Selective Amnesia without rehearsal: noise for the forgotten labels, and the anchor alone to hold
the others (arXiv:2305.10120, Eq. 9 with gamma = 0, an ablation of the paper)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .task import Task

__all__ = ["NAME", "prepare"]

NAME = "SA without replay"


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        return {"forget": task.surrogate(), "ewc": task.ewc()}

    return terms
