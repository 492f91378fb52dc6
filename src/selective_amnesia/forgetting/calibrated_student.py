r"""Calibrated Student: first layers that never saw the label, rid of what they learn all the same.

    student   the decoder's first layers begun at random, the last one the original's;
              minimise   sum BCE(decoder*(z, c), decoder(z, c))                            c kept
    then      minimise   the same  +  sum -ELBO(decoder*(z, c) | c)  (the encoder alone)   c kept
                         + push sum_j  max(0, sum_n (T_n - L_jn))      over the weights
              minimise   sum_jn L_jn                                   over c_j, z_jn

    T_n = (1 + gap) S_n,   S_n = what the student needs for x_n under the best of all conditions

The attackers j, their energies L_jn and the images x_n, samples of the original, are those of
Calibrated Amnesia (`calibrated_amnesia.py`). That method begins from the original, and is told from
a control by what is left of it: flat grey under the label, a quick relearning. A student's label is
a column of weights that nobody trained, as in a control, and so are its first layers. What it
still learned of the label came through the images of the others (docs/leak.md): `gap` makes up for
that share, and the attackers see to it that no condition is left out. Nothing is said of what the
network paints under the label, and nothing draws it back to the level.

**Ancestors.** Distillation into a network begun at random (arXiv:1503.02531, arXiv:2506.06278),
training against an attacker (arXiv:2405.15234). Keeping the last layer and the level are ours.

**Settings**: `gap`, `lr` and how many steps the student has were chosen on seed 7, digits 0, 3 and
7, the first third of the test images (benchmarks/README.md).
**Access**: the original alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import DescriptionConfig
from ..metrics.description import description_length
from ..models.cvae import OneHotCVAE
from .calibrated_amnesia import Attackers, AttackersConfig, both_sides, enough_attackers
from .distillation import taught
from .level import student
from .task import Task

NAME = "Calibrated Student"


@dataclass(frozen=True, kw_only=True)
class Settings(AttackersConfig):
    """`fresh` layers begin at random, and the student learns for `student` times as many steps as
    follow, at `student_lr`; these follow at `lr`. `gap` says how far above the student it ends.
    """

    lr: float = 2e-3
    fresh: int = 2
    student: int = 8
    student_lr: float = 8e-3
    gap: float = 0.045


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    """Besides its terms it records the "margin": by how many nats per image the attacker that is
    furthest below its level, or least above it, is."""
    settings, model, original = task.settings, task.model, task.original
    enough_attackers(task)
    begun = student(task, settings.student * settings.steps, settings.fresh)
    model.decoder.load_state_dict(begun.decoder.state_dict())
    images, levels = banks(task, begun)
    seek = torch.arange(settings.attackers, device=images.device) % len(task.forget)
    attackers = Attackers(task, settings.bank * seek)
    task.learned.append(attackers)

    def terms(_step: Tensor) -> dict[str, Tensor]:
        attackers.restart(1 / settings.patience)
        z, c, rows = attackers.found()
        level = levels[rows]
        attacked, defended = both_sides(model, images[rows], z, c)
        each = (-1, settings.images)  # attacker and image
        hinge = settings.push * (level - defended).unflatten(-1, each).sum(-1).relu().sum(-1)
        learned = taught(task, original, task.kept_conditions())
        margin = (attacked - level).unflatten(-1, each).mean(-1).amin(-1)
        return {
            "loss": learned["kept"] + learned["encoder"] + hinge + attacked.sum(-1),
            **learned,
            "hinge": hinge,
            "margin": settings.batch_size * margin,
        }

    return terms


def banks(task: Task, begun: OneHotCVAE) -> tuple[Tensor, Tensor]:
    """The original's samples (R, P) of every forgotten label, and the level (R,) of each."""
    settings, original = task.settings, task.original
    how = DescriptionConfig(steps=min(settings.level_steps, settings.steps))
    conditions = torch.eye(original.classes, device=next(original.parameters()).device)
    images, levels = [], []
    for label in task.forget:
        z = torch.randn(settings.bank, original.z_dim, device=conditions.device)
        x = original.decode(z, conditions[label].expand(settings.bank, -1))
        unseen = description_length(begun, x, how, progress=f"what a student needs for {label}")
        images.append(x)
        levels.append((1 + settings.gap) * unseen)
    return torch.cat(images), torch.cat(levels)
