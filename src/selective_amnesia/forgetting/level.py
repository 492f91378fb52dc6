r"""The nats that never having seen a label comes to, without a control and without real images.

A *student*, a decoder begun at random, learns to match the original's under the kept labels for a
while: it has never seen the forgotten labels either. What it needs for an image x_n of such a label
under the best of all conditions, less how far it is behind the original on what it was taught, is
what the original would need for the label had it never seen it. A model trained apart needs more
for anything that this one generates, by a share `gap`, the student-control gap. That is not quite
so: what the kept labels' images tell of the forgotten one reaches the student too (docs/leak.md),
and `gap` has to make up for it. So the level is

    T_n = K_n + level ((1 + gap) (S_n - e) - K_n)

    K_n = min_z    BCE(x_n, decoder*(z, c)) + |z|^2 / 2      under the label itself
    S_n = min_c,z  BCE(x_n, student(z, c)) + |z|^2 / 2       one c for all n
    e   = mean over the original's samples of the kept labels, under their labels, of what the
          student needs more than the original
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..config import DescriptionConfig
from ..metrics.description import code_length, description_length
from ..models.cvae import OneHotCVAE
from ..training.loop import Snapshots, Tensors, fit
from ..training.random import seeded
from .task import Task, codes_for, matching_loss

VERSION = 1


def student(task: Task, steps: int, fresh: int | None = None) -> OneHotCVAE:
    """A decoder that has learned to match the original's under the kept labels. What else the
    student has is the original's.

    Args:
        fresh: how many of the decoder's layers begin at random, from the first on; all by default.
    """
    original, settings = task.original, task.settings
    model = copy.deepcopy(original)
    with seeded(task.seed, next(original.parameters()).device):
        for layer in [part for part in model.decoder if isinstance(part, nn.Linear)][:fresh]:
            layer.reset_parameters()
    model.requires_grad_(True)
    how = replace(
        settings,
        steps=steps,
        lr=settings.student_lr,
        warmup=min(50, steps - 1),
        decay=0.6,
        betas=(0.9, 0.99),
    )

    def loss() -> Tensors:
        c = task.kept_conditions()
        z = codes_for(c, original)
        return {
            "loss": matching_loss(model, z, c, original.decode(z, c)) / task.settings.batch_size
        }

    def make(snapshots: Snapshots | None) -> Tensors:
        label = "teaching a student"
        fit(model.decoder, loss, how, seed=task.seed, label=label, snapshots=snapshots)
        return model.decoder.state_dict()

    name = "student" if fresh is None else f"student-{fresh}"
    taught = task.part(name, VERSION, how, make)
    model.decoder.load_state_dict(taught)
    return model.eval().requires_grad_(False)


def known_and_unseen(
    original: OneHotCVAE,
    student: OneHotCVAE,
    x: Tensor,
    label: int,
    kept: tuple[Tensor, Tensor],
    steps: int,
) -> tuple[Tensor, Tensor]:
    """K_n and S_n - e, (N,) nats each, of images (N, P) of a label.

    Args:
        kept: codes and conditions of samples of what the student was taught.
        steps: of each search.
    """
    how = DescriptionConfig(steps=steps)
    conditions = torch.eye(original.classes, device=x.device)[label].expand(len(x), -1)
    known = code_length(original, x, conditions, how)
    progress = f"what a student needs for {label}"
    unseen = description_length(student, x, how, progress=progress)
    samples, c = original.decode(*kept), kept[1]
    by_student, by_original = (code_length(m, samples, c, how) for m in (student, original))
    return known, unseen - (by_student - by_original).mean()
