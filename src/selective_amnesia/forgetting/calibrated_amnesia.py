r"""Calibrated Amnesia: forget to the level of never having seen, and no further.

Selective Amnesia rewrites what one label says. What the decoder knows of the class stays within
reach of other conditions: the fewest nats in which it can describe a real image of the class (see
`metrics.description`) end between the original's and the control's. Here an attacker looks for
these few nats all along, and the decoder is pushed away from what it finds up to a level, and back
towards it where even the best of its finds lies beyond:

    minimise over the decoder     sum_n  BCE(decoder*(z_n, c_n), decoder(z_n, c_n))    c_n kept
                                + sum_n  BCE(1/2, decoder(z_n, c_n))                   c_n forgotten
                                + push sum_j  max(0, sum_n (T_n - L_jn))
                                + push        max(0, min_j sum_n (L_jn - T_n))

    minimise over c_j, z_jn       sum_jn L_jn,   L_jn = BCE(x_n, decoder(z_jn, c_j)) + |z_jn|^2 / 2

The images x_n of the forgotten labels are the original's own samples: no real image is needed. An
attacker j holds one condition for all of its images, goes along with every step of the decoder,
and starts anew now and then, from any label and on other images. The two sides are trained at
once: by the envelope theorem the gradient of an attacker's best result by the weights is the
gradient at c_j, z_jn held fixed.

**The level** T_n is that of a model that never saw the label, as `level.py` finds it with neither a
control nor a real image. To be more ignorant than that would be a tell as well.

**The kept labels** are held by matching the original's decoder code by code, which is sharper than
replay's ELBO and leaves the encoder as it is.

**Ancestors.** Training against an attacker (AdvUnlearn, arXiv:2405.15234) and a surrogate for the
label (Selective Amnesia, arXiv:2305.10120). The level, and drawing back to it, are ours.

**Settings**: `gap` was read off originals, students and controls of seed 7, not tuned on erasures;
`push` hardly matters from 0.05 to 1 (benchmarks/README.md).
**Access**: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..config import ForgetConfig
from ..models.cvae import OneHotCVAE
from ..models.elbo import nats_for
from .level import known_and_unseen, student
from .task import Task, codes_for, matching_loss

NAME = "Calibrated Amnesia"


@dataclass(frozen=True, kw_only=True)
class AttackersConfig(ForgetConfig):
    """`attackers` conditions are searched at once, each for `images` of a bank of `bank` samples a
    label, at the learning rate `attack_lr`, and start anew every `patience` steps on average.

    `push` weighs the hinge. What a student needs is searched for in `level_steps`, no more than
    `steps`.
    """

    push: float = 0.1
    attackers: int = 10
    images: int = 32
    bank: int = 128
    attack_lr: float = 0.1
    patience: int = 150
    level_steps: int = 150


@dataclass(frozen=True, kw_only=True)
class Settings(AttackersConfig):
    """The hinge is from both sides. `level` and `gap`, the student-control gap, say how far to go
    (`level.py`), by a student of `student_steps`, no more than `steps`, at `student_lr`.
    """

    level: float = 1.0
    gap: float = 0.07
    student_steps: int = 1000
    student_lr: float = 4e-3


class Attackers(nn.Module):
    """S conditions, and for each of them n images of one label and a code for each.

    They are learned by the optimiser of the weights, at whose rate they would be slow: stored as
    a `reach`-th of their size, they move `reach` times as far at each step.

    Args:
        rows: (S,), where the images of each attacker's label begin in the bank.
    """

    def __init__(self, task: Task, rows: Tensor) -> None:
        super().__init__()
        settings, original = task.settings, task.original
        attackers, images, device = settings.attackers, settings.images, rows.device
        self.reach, self.bank = settings.attack_lr / settings.lr, settings.bank
        self.c = nn.Parameter(torch.zeros(attackers, original.classes, device=device))
        self.z = nn.Parameter(torch.zeros(attackers, images, original.z_dim, device=device))
        self.first: Tensor
        self.rows: Tensor
        self.register_buffer("first", rows)
        self.register_buffer("rows", rows.unsqueeze(-1).expand(attackers, images).clone())
        self.restart(1.0)

    @torch.no_grad()
    def restart(self, share: float) -> None:
        """Some of them, drawn at random, begin again: at any label, on any images."""
        anew = torch.rand_like(self.c[..., 0]).lt(share).unsqueeze(-1)
        label = torch.rand_like(self.c).argmax(-1, keepdim=True)
        c = torch.zeros_like(self.c).scatter(-1, label, 1 / self.reach)
        drawn = (torch.rand_like(self.z[..., 0]) * self.bank).long() + self.first.unsqueeze(-1)
        self.c.copy_(torch.where(anew, c, self.c))
        self.z.masked_fill_(anew.unsqueeze(-1), 0)
        self.rows.copy_(torch.where(anew, drawn, self.rows))

    def found(self) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (S n, D), conditions (S n, C) and rows of images (S n,)."""
        c = (self.reach * self.c).unsqueeze(-2).expand(*self.rows.shape, -1)
        return self.reach * self.z.flatten(-3, -2), c.flatten(-3, -2), self.rows.flatten(-2)


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    """Besides its terms it records the "margin": by how many nats per image the attacker that is
    furthest below its level, or least above it, is."""
    settings, model, original = task.settings, task.model, task.original
    enough_attackers(task)
    images, levels, first = banks(task)
    attackers = Attackers(task, first)
    rivals = first.unsqueeze(-1) == first.unsqueeze(-2)  # (S, S): which seek the same label
    task.learned.append(attackers)
    for part in (model.encoder, model.mu, model.log_var):
        part.requires_grad_(False)

    grey = torch.full((), 0.5, device=images.device)

    def terms(_step: Tensor) -> dict[str, Tensor]:
        attackers.restart(1 / settings.patience)
        z, c, rows = attackers.found()
        level = levels[rows]
        attacked, defended = both_sides(model, images[rows], z, c)
        each = (-1, settings.images)  # attacker and image
        short = (level - defended).unflatten(-1, each).sum(-1)
        best = torch.where(rivals, -short.unsqueeze(-2), torch.inf).amin(-1)  # of their label
        beyond = (best.relu() / rivals.sum(-1)).sum(-1)
        hinge = settings.push * (short.relu().sum(-1) + beyond)
        c = task.kept_conditions()
        z = codes_for(c, original)
        kept = matching_loss(model, z, c, original.decode(z, c))
        c = task.forgotten()
        gone = matching_loss(model, codes_for(c, original), c, grey)
        margin = (attacked - level).unflatten(-1, each).mean(-1).amin(-1)
        return {
            "loss": kept + gone + hinge + attacked.sum(-1),
            "kept": kept,
            "forget": gone,
            "hinge": hinge,
            "margin": settings.batch_size * margin,
        }

    return terms


def enough_attackers(task: Task) -> None:
    """Raises:
    ValueError: there are fewer attackers than labels to forget.
    """
    if task.settings.attackers < len(task.forget):
        raise ValueError(
            f"{task.settings.attackers} attackers for {len(task.forget)} labels: "
            "use at least one each"
        )


def both_sides(model: OneHotCVAE, x: Tensor, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The energies (N,) of images (N, P) from codes (N, D) and conditions (N, C), twice: the first
    is for the attackers, whose gradient leaves the weights alone, the second for the weights."""
    frozen = {name: p.detach() for name, p in model.decoder.named_parameters()}
    attacked = nats_for(functional_call(model.decoder, frozen, torch.cat([z, c], -1)), x, z)
    z, c = z.detach(), c.detach()
    return attacked, nats_for(model.decode_logits(z, c), x, z)


def banks(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """The original's samples of every forgotten label, (R, P), the level of each, (R,), and where
    the images of each attacker's label begin, (S,)."""
    settings, original = task.settings, task.original
    device = next(original.parameters()).device
    z = torch.randn(original.classes, settings.bank, original.z_dim, device=device)
    conditions = torch.eye(original.classes, device=device).unsqueeze(1)
    taught = student(task, min(settings.student_steps, settings.steps))
    search = min(settings.level_steps, settings.steps)
    some = z[list(task.kept), :16]  # codes of samples of what is kept
    theirs = conditions[list(task.kept)].expand(*some.shape[:2], -1)
    samples = some.flatten(0, 1), theirs.flatten(0, 1)
    images: list[Tensor] = []
    levels: list[Tensor] = []
    begins: list[int] = []
    for label in task.forget:
        begins.append(len(images) * settings.bank)
        x = original.decode(z[label], conditions[label].expand(settings.bank, -1))
        known, unseen = known_and_unseen(original, taught, x, label, samples, search)
        images.append(x)
        never = (1 + settings.gap) * unseen
        levels.append(known + settings.level * (never - known))
    first = torch.tensor([begins[s % len(begins)] for s in range(settings.attackers)])
    return torch.cat(images), torch.cat(levels), first.to(device)
