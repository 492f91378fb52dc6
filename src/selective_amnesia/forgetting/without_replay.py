"""Selective Amnesia without rehearsal: noise for the forgotten labels, and the anchor alone to hold
the others (arXiv:2305.10120, Eq. 9 with gamma = 0, an ablation of the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..config import ForgetConfig
from .task import Task

NAME = "SA without replay"


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """The anchor has to hold alone, so it is ten times as heavy: with the paper's 100 the kept
    digits lose 25 nats (`benchmarks/tune.py`)."""

    lam: float = 1000.0


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        return {"forget": task.surrogate(), "ewc": task.ewc()}

    return terms
