r"""Gradient projection, alternating: even steps forget, odd steps remember, each on the complement
of the other's gradient.

    even:  f - (f.r / r.r) r          odd:  r - (r.f / f.f) f

with f and r as in `symmetric_projection`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .symmetric_projection import along, gradients, without
from .task import Task

__all__ = ["prepare"]


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(step: Tensor) -> dict[str, Tensor]:
        forget, replay = task.surrogate(), task.replay()
        f, r = gradients(forget, task), gradients(replay, task)
        lead, even = len(task.lead), step.remainder(2).eq(0)
        both = zip(without(f, r, lead), without(r, f, lead), strict=True)
        chosen = [torch.where(even, a, b) for a, b in both]
        return {"loss": along(chosen, task), "forget": forget, "replay": replay}

    return terms
