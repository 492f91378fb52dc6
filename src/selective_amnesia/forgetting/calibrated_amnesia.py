r"""Calibrated Amnesia: forget to the level of never having seen, and no further.

Selective Amnesia rewrites what one label says. What the decoder knows of the digit stays within
reach of other conditions: the fewest nats in which it can describe a real image of the digit (see
`audit`) end between the original's and the control's. Here an attacker looks for these few nats
all along, and the decoder is pushed away from what he finds up to a level, and back towards it
where even the best of his finds lies beyond:

    minimise over the decoder     sum_n  BCE(decoder*(z_n, c_n), decoder(z_n, c_n))    c_n kept
                                + sum_n  BCE(1/2, decoder(z_n, c_n))                   c_n forgotten
                                + push sum_j  max(0, sum_n (T_n - L_jn))
                                + push        max(0, min_j sum_n (L_jn - T_n))

    minimise over c_j, z_jn       sum_jn L_jn,   L_jn = BCE(x_n, decoder(z_jn, c_j)) + |z_jn|^2 / 2

The images x_n of the forgotten digits are the original's own samples: no real image is needed. An
attacker j holds one condition for all of his images, goes along with every step of the decoder,
and starts anew now and then, from any label and on other images. The two sides are trained at
once: by the envelope theorem the gradient of an attacker's best result by the weights is the
gradient at c_j, z_jn held fixed.

**The level** T_n is that of a model that never saw the digit, as `level.py` finds it with neither a
control nor a real image. To be more ignorant than that would be a tell as well.

**The kept labels** are held by matching the original's decoder code by code, which is sharper than
replay's ELBO and leaves the encoder as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..config import ForgetConfig
from ..losses import nats_for
from .level import known_and_unseen, students
from .task import Task, apart, codes_for

__all__ = ["NAME", "Attackers", "Settings", "banks", "prepare"]

NAME = "Calibrated Amnesia"


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`attackers` conditions are searched at once, each for `images` of a bank of `bank` samples a
    digit, at the learning rate `attack_lr`, and start anew every `patience` steps on average.

    `push` weighs the hinge, from both sides. `level` and `strange` say how far to go (`level.py`),
    by a student of `student_steps` and searches of `level_steps`, of both no more than `steps`.
    """

    push: float = 0.1
    level: float = 1.0
    strange: float = 0.07
    attackers: int = 10
    images: int = 32
    bank: int = 128
    attack_lr: float = 0.1
    patience: int = 150
    level_steps: int = 150
    student_steps: int = 1000


class Attackers(nn.Module):
    """S conditions, and for each of them n images of one digit and a code for each.

    They are learned by the optimiser of the weights, at whose rate they would be slow: stored as
    a `reach`-th of their size, they move `reach` times as far at each step.
    """

    def __init__(self, task: Task, rows: Tensor) -> None:
        super().__init__()
        config, original = task.config, task.original
        shape, device = (*task.lead, config.attackers), rows.device
        self.reach, self.bank = config.attack_lr / config.lr, config.bank
        self.c = nn.Parameter(torch.zeros(*shape, original.classes, device=device))
        self.z = nn.Parameter(torch.zeros(*shape, config.images, original.z_dim, device=device))
        self.register_buffer("first", rows)  # (*lead, S): where the digit's images begin
        self.register_buffer("rows", rows.unsqueeze(-1).expand(*shape, config.images).clone())
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
        """Codes (*lead, S n, D), conditions (*lead, S n, C) and rows of images (*lead, S n)."""
        c = (self.reach * self.c).unsqueeze(-2).expand(*self.rows.shape, -1)
        return self.reach * self.z.flatten(-3, -2), c.flatten(-3, -2), self.rows.flatten(-2)


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    """Besides its terms it records the "margin": by how many nats per image the attacker who is
    furthest below his level, or least above it, is."""
    config, model, original = task.config, task.model, task.original
    most = max(map(len, task.sets))
    if config.attackers < most:
        raise ValueError(f"{config.attackers} attackers for {most} digits: use at least one each")
    images, levels, first = banks(task)
    attackers = Attackers(task, first)
    rivals = first.unsqueeze(-1) == first.unsqueeze(-2)  # (*lead, S, S): who seek the same digit
    task.learned.append(attackers)
    for part in (model.encoder, model.mu, model.log_var):
        part.requires_grad_(False)

    grey = torch.full((), 0.5, device=images.device)

    def terms(_step: Tensor) -> dict[str, Tensor]:
        attackers.restart(1 / config.patience)
        z, c, rows = attackers.found()
        x, level = images[rows], levels[rows]
        frozen = {name: p.detach() for name, p in model.decoder.named_parameters()}
        attacked = nats_for(functional_call(model.decoder, frozen, torch.cat([z, c], -1)), x, z)
        z, c = z.detach(), c.detach()
        defended = nats_for(model.decode_logits(z, c), x, z)
        each = (-1, config.images)  # attacker and image
        short = (level - defended).unflatten(-1, each).sum(-1)
        best = torch.where(rivals, -short.unsqueeze(-2), torch.inf).amin(-1)  # of their digit
        beyond = (best.relu() / rivals.sum(-1)).sum(-1)
        hinge = config.push * (short.relu().sum(-1) + beyond)
        c = task.kept()
        z = codes_for(c, original)
        kept = apart(model, z, c, original.decode(z, c))
        c = task.forgotten()
        gone = apart(model, codes_for(c, original), c, grey)
        return {
            "loss": kept + gone + hinge + attacked.sum(-1),
            "kept": kept,
            "forget": gone,
            "hinge": hinge,
            "margin": config.batch_size * (attacked - level).unflatten(-1, each).mean(-1).amin(-1),
        }

    return terms


def banks(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """The original's samples of every forgotten digit, (R, P), the level of each, (R,), and where
    the images of each attacker's digit begin, (*lead, S)."""
    config, original = task.config, task.original
    device = next(original.parameters()).device
    shape = (original.classes, config.bank, original.z_dim)
    codes = torch.randn(*task.lead, *shape, device=device).view(-1, *shape)
    conditions = torch.eye(original.classes, device=device).unsqueeze(1)
    taught = students(task, min(config.student_steps, config.steps))
    search = min(config.level_steps, config.steps)
    images, levels, first = [], [], []
    for z, sought, kept, student in zip(codes, task.sets, task.kept_sets, taught, strict=True):
        some = z[list(kept), :16]  # codes of samples of what is kept
        theirs = conditions[list(kept)].expand(*some.shape[:2], -1)
        samples = some.flatten(0, 1), theirs.flatten(0, 1)
        begins = []
        for digit in sought:
            begins.append(len(images) * config.bank)
            x = original.decode(z[digit], conditions[digit].expand(config.bank, -1))
            known, unseen = known_and_unseen(original, student, x, digit, samples, search)
            images.append(x)
            never = (1 + config.strange) * unseen
            levels.append(known + config.level * (never - known))
        first.append([begins[s % len(begins)] for s in range(config.attackers)])
    rows = torch.tensor(first if task.lead else first[0], device=device)
    return torch.cat(images), torch.cat(levels), rows
