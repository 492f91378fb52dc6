r"""Adversarial training of Selective Amnesia, after AdvUnlearn (Zhang et al., NeurIPS 2024,
arXiv:2405.15234, Eqs. 3-5).

    attack     c_j = argmin over c of  sum_n BCE(decoder*(z_n, e_j), decoder(z_n, c))
    unlearn    minimise  sum -ELBO(noise | e or c_j)  +  gamma L_replay  +  lambda L_ewc

e is a forgotten label's one-hot condition and c_j, found by signed gradient steps from where the
last search ended, brings back what the original drew under it from the same codes. Half of the
forgotten conditions of a batch are labels and half are found.

Changed: the paper attacks the prompt's embedding of a diffusion model and trains its text encoder;
a CVAE has neither, so the condition itself is attacked, without bounds as there, and all weights
are trained. Its unlearning loss pushes away from the concept by classifier-free guidance, which a
CVAE lacks: noise as in Selective Amnesia takes its place, replay that of its retained prompts. The
paper searches for 30 steps before each step of training; here several conditions are searched at
once for fewer. Codes are not searched, as the paper's latents are not.

Settings: on seed 7. With gamma 1 the kept digits pay 5.1 to 8.4 nats, the more the further the
attackers go, for erasures of 0.83 to 0.97; gamma 4 and 16 cost 2.1 and 1.7 and erase 0.93
(benchmarks/README.md).
Access: the original and its Fisher diagonal, no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import ForgetConfig
from .losses import surrogate
from .task import Task, codes_for, matching_loss

NAME = "adversarial training"


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`attackers` conditions for each forgotten label, moved `attack_steps` times by `attack_lr` in
    each coordinate before every step. Replay weighs more: some conditions found are near those of
    kept labels."""

    attackers: int = 8
    attack_steps: int = 5
    attack_lr: float = 0.01
    gamma: float = 16.0


class Attackers(nn.Module):
    """Conditions `c` (S, C) and the one-hot labels `of` (S, C) that each of them seeks."""

    c: Tensor
    of: Tensor

    def __init__(self, of: Tensor) -> None:
        super().__init__()
        self.register_buffer("of", of)
        self.register_buffer("c", of + torch.randn_like(of))

    def search(self, task: Task, rows: Tensor) -> Tensor:
        """Move the attackers of these rows (n,) on. What they were short of, before their last
        step, in nats summed over the rows: ()."""
        of = self.of[rows]
        z = codes_for(of, task.original)
        x = task.original.decode(z, of)
        short = x.new_zeros(())
        for _ in range(task.settings.attack_steps):
            c = self.c.detach().clone().requires_grad_()
            short = matching_loss(task.model, z, c[rows], x)
            (slope,) = torch.autograd.grad(short, c)
            self.c.sub_(task.settings.attack_lr * slope.sign())
        return short.detach()


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    """Besides its terms it records the "attack": the nats by which the found conditions miss the
    original's images, per image of the batch."""
    device = next(task.original.parameters()).device
    labels = torch.eye(task.original.classes, device=device)[list(task.forget)]
    attackers = Attackers(labels.repeat_interleave(task.settings.attackers, 0))
    task.learned.append(attackers)
    half = task.settings.batch_size // 2

    def terms(_step: Tensor) -> dict[str, Tensor]:
        rows = (torch.rand(half, device=device) * len(attackers.c)).long()
        attack = attackers.search(task, rows)
        c = torch.cat([attackers.c[rows], task.forgotten()[half:]])
        forget = surrogate(task.model, c).sum(-1)
        replay, ewc = task.replay(), task.ewc()
        named = {"forget": forget, "replay": replay, "ewc": ewc, "attack": attack}
        return {"loss": forget + replay + ewc} | named

    return terms
