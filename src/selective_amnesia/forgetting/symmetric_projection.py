r"""Gradient projection, symmetric: each loss descends along what leaves the other alone.

With f and r the gradients of L_forget and of gamma L_replay, the optimiser is given

    (f - (f.r / r.r) r)  +  (r - (r.f / f.f) f)

so that, to first order, forgetting does not touch what is remembered and remembering not what is
forgotten: true of this direction, and not quite of the step, since Adam weighs each coordinate
anew. After the gradient surgery of Yu et al. (arXiv:2001.06782), which projects only where the two
conflict.

Changed: projected always, for two losses, those of Selective Amnesia (arXiv:2305.10120) without
its anchor.
Settings: the rate of the others. On seed 7 rates of 0.001 to 0.01 erase 0.44, 0.80 and 0.77
(benchmarks/README.md).
Access: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .task import Task


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    def terms(_step: Tensor) -> dict[str, Tensor]:
        forget, replay = task.surrogate(), task.replay()
        f, r = gradients(forget, task), gradients(replay, task)
        step = [a + b for a, b in zip(project_out(f, r), project_out(r, f), strict=True)]
        return {"loss": with_gradient(step, task), "forget": forget, "replay": replay}

    return terms


def gradients(loss: Tensor, task: Task) -> Sequence[Tensor]:
    """The gradient of a loss by the weights, float32."""
    return torch.autograd.grad(loss, list(task.model.parameters()), materialize_grads=True)


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The inner product of two lists of tensors."""
    return torch.as_tensor(sum((x * y).flatten().sum(-1) for x, y in zip(a, b, strict=True)))


def project_out(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """The part of `a` that is orthogonal to `b`."""
    share = inner(a, b) / inner(b, b).clamp(min=1e-12)
    return [x - share * y for x, y in zip(a, b, strict=True)]


def with_gradient(direction: Sequence[Tensor], task: Task) -> Tensor:
    """A loss whose gradient is this direction."""
    return inner(list(task.model.parameters()), direction)
