r"""Gradient projection, alternating: even steps forget, odd steps remember, each on the complement
of the other's gradient.

    even:  f - (f.r / r.r) r          odd:  r - (r.f / f.f) f

with f and r, the source and the changes as in `symmetric_projection`; that the two take turns is
ours.

Settings: the rate of the others. On seed 7 rates of 0.001 to 0.01 erase 0.30, 0.88 and 0.81
(benchmarks/README.md).
Access: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .symmetric_projection import gradients, project_out, with_gradient
from .task import Task


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(step: Tensor) -> dict[str, Tensor]:
        forget, replay = task.surrogate(), task.replay()
        f, r = gradients(forget, task), gradients(replay, task)
        even = step.remainder(2).eq(0)
        both = zip(project_out(f, r), project_out(r, f), strict=True)
        chosen = [torch.where(even, a, b) for a, b in both]
        return {"loss": with_gradient(chosen, task), "forget": forget, "replay": replay}

    return terms
