r"""UNDO: unlearn, noise, distil on outputs (Lee et al., NeurIPS 2025, arXiv:2506.06278).

    unlearn    theta_u, by Selective Amnesia
    noise      theta_0 = (1 - alpha) theta_u + alpha beta N,   N by Glorot's rule, 0 for biases
    distil     from theta_0, minimise  sum BCE(decoder_u(z, c), decoder(z, c)) and the encoder's
               sum -ELBO(decoder_u(z, c) | c),   c any label

alpha is the dial: 0 leaves the unlearned network as it is, 1 distils it into a fresh one.

Changed: a decoder's means for a language model's probabilities, Selective Amnesia for the
unlearning methods of the paper, a fixed number of steps where the paper stops once the student is
within a margin of its teacher. The teacher is taught from under every label, as there.

Settings: alpha, on seed 7: 0.2 erases 0.99 and costs 1.5 nats, 0.8 1.03 and 4.2; beta 0.1 is that
of the authors' code (benchmarks/README.md).
Access: the original and its Fisher diagonal, no data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from ..config import ForgetConfig
from ..models.cvae import OneHotCVAE
from ..training.loop import Snapshots, Tensors, fit
from ..training.random import seeded
from . import selective_amnesia
from .distillation import taught
from .task import Task

NAME = "UNDO"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`alpha` is how much of the weights is noise, of the size `beta`. The teacher forgets with the
    same steps and rate as the student learns."""

    alpha: float = 0.2
    beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha > 1:
            raise ValueError(f"alpha is {self.alpha}: use a share of the weights, 0 to 1")


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    teacher = unlearned(task)
    task.model.load_state_dict(teacher.state_dict())
    add_noise(task)
    share = len(task.forget) / (len(task.forget) + len(task.kept))

    def terms(_step: Tensor) -> dict[str, Tensor]:
        kept = task.kept_conditions()
        gone = torch.rand_like(kept[..., :1]).lt(share)
        return taught(task, teacher, torch.where(gone, task.forgotten(), kept))

    return terms


def unlearned(task: Task) -> OneHotCVAE:
    """The teacher: the original after Selective Amnesia, frozen."""
    teacher = copy.deepcopy(task.original).requires_grad_(True)
    plain = {f.name: getattr(task.settings, f.name) for f in fields(ForgetConfig)}
    how = ForgetConfig(**plain)
    terms_at = selective_amnesia.prepare(replace(task, model=teacher, settings=how))

    def loss(step: Tensor) -> Tensors:
        return {"loss": torch.stack(list(terms_at(step).values())).sum(-1)}

    def make(snapshots: Snapshots | None) -> Tensors:
        step = (torch.zeros((), device=next(teacher.parameters()).device),)
        label = "unlearning, for a teacher"
        fit(
            teacher,
            loss,
            how,
            seed=task.seed,
            label=label,
            batches=lambda _step: step,
            snapshots=snapshots,
        )
        return teacher.state_dict()

    teacher.load_state_dict(task.part("teacher", VERSION, how, make))
    return teacher.eval().requires_grad_(False)


@torch.no_grad()
def add_noise(task: Task) -> None:
    """Shrink the weights of the task's model by alpha and put noise in the place of what went."""
    alpha, beta = task.settings.alpha, task.settings.beta
    with seeded(task.seed, next(task.model.parameters()).device):
        for weight in task.model.parameters():
            weight.mul_(1 - alpha)
            if weight.ndim == 2:
                weight.add_(nn.init.xavier_uniform_(torch.empty_like(weight)), alpha=alpha * beta)
