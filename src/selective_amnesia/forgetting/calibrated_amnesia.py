r"""Calibrated Amnesia: forget to the level of never having seen, by layers that never saw.

    student   the original with a decoder that begins at random but for its last layer;
              minimise   sum BCE(decoder*(z, c), decoder(z, c))                            c kept
    then      minimise   the same  +  sum -ELBO(decoder*(z, c) | c)  (the encoder alone)   c kept
                         + push sum_j  max(0, sum_n (T_n - L_jn))      over the weights
              minimise   sum_jn L_jn                                   over c_j, z_jn

    L_jn = BCE(x_n, decoder(z_jn, c_j)) + |z_jn|^2 / 2,       T_n = (1 + gap) S_n,
    S_n = what the student needs for x_n under the best of all conditions

What Selective Amnesia rewrites is what one label says; what the decoder knows of the class stays
within reach of other conditions. Here all layers but the last begin at random and are taught the
kept labels, so they never saw the label. What they learn of it all the same comes through the
images of the others (docs/leak.md) and through the last layer, and is held down: attackers look for
the fewest nats in which the decoder can describe an image of the label under any condition, and the
decoder is pushed away from what they find, up to the level T_n. Nothing is said of what the network
generates under the label: as in a control, its wires are a column of numbers that nobody trained.

The images x_n are the original's own samples: no real image is needed. An attacker j holds one
condition for all of its images, goes along with every step of the decoder, and starts anew now and
then, from any label and on other images. The two sides are trained at once: by the envelope theorem
the gradient of an attacker's best result by the weights is the gradient at c_j, z_jn held fixed.

**Ancestors.** Training against an attacker (AdvUnlearn, arXiv:2405.15234), distillation into a
network begun at random (arXiv:1503.02531, arXiv:2506.06278). Which layers begin anew, and the
level, are ours.

**Settings**: `gap`, `student_lr` and which layers begin at random were chosen on seeds 10 and 100,
digit 0, and the first third of the test images (benchmarks/README.md), and once changed after two
models of the population had been seen, which are not in the record (docs/never_saw.md).
**Access**: the original alone, no data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..config import DescriptionConfig, FitConfig, ForgetConfig
from ..metrics.description import description_length
from ..models.cvae import OneHotCVAE
from ..models.elbo import nats_for
from ..training.loop import Snapshots, Tensors, fit
from ..training.random import seeded
from .distillation import taught
from .task import Task, codes_for, matching_loss

NAME = "Calibrated Amnesia"
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """The student learns for `student` times as many steps as follow, at `student_lr`; these follow
    at `lr`. `gap` says how far above the student it ends, `push` weighs the hinge.

    `attackers` conditions are searched at once, each for `images` of a bank of `bank` samples a
    label, at the learning rate `attack_lr`, and start anew every `patience` steps on average. What
    the student needs is searched for in `level_steps`, no more than `steps`.
    """

    lr: float = 2e-3
    student: int = 8
    student_lr: float = 4e-3
    gap: float = 0.02
    push: float = 0.1
    attackers: int = 10
    images: int = 32
    bank: int = 128
    attack_lr: float = 0.1
    patience: int = 150
    level_steps: int = 150


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    """Besides its terms it records the "margin": by how many nats per image the attacker that is
    furthest below its level, or least above it, is.

    Raises:
        ValueError: there are fewer attackers than labels to forget.
    """
    settings, model, original = task.settings, task.model, task.original
    if settings.attackers < len(task.forget):
        raise ValueError(
            f"{settings.attackers} attackers for {len(task.forget)} labels: use at least one each"
        )
    begun = student(task, settings.student * settings.steps)
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


def student(task: Task, steps: int, *, whole: bool = False) -> OneHotCVAE:
    """The original with a decoder that has learned to match its own under the kept labels; it began
    at random but for its last layer.

    Args:
        whole: that one as well.
    """
    original, settings = task.original, task.settings
    model = copy.deepcopy(original)
    layers = [part for part in model.decoder if isinstance(part, nn.Linear)]
    with seeded(task.seed, layers[0].weight.device):
        for layer in layers if whole else layers[:-1]:
            layer.reset_parameters()
    model.requires_grad_(True)
    plain = {f.name: getattr(settings, f.name) for f in fields(FitConfig)}
    plain |= {"steps": steps, "lr": settings.student_lr, "warmup": min(50, steps - 1)}
    how = FitConfig(**plain | {"decay": 0.6, "betas": (0.9, 0.99)})  # all that shapes a student

    def loss() -> Tensors:
        c = task.kept_conditions()
        z = codes_for(c, original)
        return {"loss": matching_loss(model, z, c, original.decode(z, c)) / settings.batch_size}

    def make(snapshots: Snapshots | None) -> Tensors:
        label = "teaching a student"
        fit(model.decoder, loss, how, seed=task.seed, label=label, snapshots=snapshots)
        return model.decoder.state_dict()

    learned = task.part("whole-student" if whole else "student", VERSION, how, make)
    model.decoder.load_state_dict(learned)
    return model.eval().requires_grad_(False)


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


def both_sides(model: OneHotCVAE, x: Tensor, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The energies (N,) of images (N, P) from codes (N, D) and conditions (N, C), twice: the first
    is for the attackers, whose gradient leaves the weights alone, the second for the weights."""
    frozen = {name: p.detach() for name, p in model.decoder.named_parameters()}
    attacked = nats_for(functional_call(model.decoder, frozen, torch.cat([z, c], -1)), x, z)
    z, c = z.detach(), c.detach()
    return attacked, nats_for(model.decode_logits(z, c), x, z)


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
