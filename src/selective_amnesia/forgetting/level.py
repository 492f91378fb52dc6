r"""The nats that never having seen a digit comes to, without a control and without real images.

A *student*, a decoder begun at random, learns to match the original's under the kept labels for a
while: it has never seen the forgotten digits either. What it needs for an image x_n of such a digit
under the best of all conditions, less how far it is behind the original on what it was taught, is
what the original would need for the digit had it never seen it. A model trained apart needs more
for anything that this one paints, by a share that is called `strange`. So the level is

    T_n = K_n + level ((1 + strange) (S_n - e) - K_n)

    K_n = min_z    BCE(x_n, decoder*(z, c)) + |z|^2 / 2      under the digit's own label
    S_n = min_c,z  BCE(x_n, student(z, c)) + |z|^2 / 2       one c for all n, as in the audit
    e   = mean over the original's samples of the kept labels, under their labels, of what the
          student needs more than the original
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ..audit import code_length, description_length
from ..config import DescriptionConfig
from ..models import OneHotCVAE, stack, unstack
from ..training import fit, seeded
from .task import Task, apart, codes_for

__all__ = ["known_and_unseen", "students"]


def students(task: Task, steps: int) -> list[OneHotCVAE]:
    """For each forget set a decoder that has learned to match the original's under the kept
    labels. What else the student has is the original's."""
    original = task.original
    device = next(original.parameters()).device
    begun = [_at_random(original, seed, device) for seed in task.seeds]
    together = stack(begun)

    def loss() -> dict[str, Tensor]:
        c = task.kept()
        z = codes_for(c, original)
        return {"loss": apart(together, z, c, original.decode(z, c)) / task.config.batch_size}

    how = replace(
        task.config, steps=steps, lr=4e-3, warmup=min(50, steps - 1), decay=0.6, betas=(0.9, 0.99)
    )
    seed = task.seeds if task.lead else task.seeds[0]
    fit(together.decoder, loss, how, seed=seed, label="teaching a student")
    return unstack(together.requires_grad_(False), begun)


def _at_random(original: OneHotCVAE, seed: int, device: torch.device) -> OneHotCVAE:
    student = copy.deepcopy(original)
    with seeded(seed, device):
        for layer in student.decoder:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return student.requires_grad_(True)


def known_and_unseen(
    original: OneHotCVAE,
    student: OneHotCVAE,
    x: Tensor,
    digit: int,
    kept: tuple[Tensor, Tensor],
    steps: int,
) -> tuple[Tensor, Tensor]:
    """K_n and S_n - e, (N,) nats each, of images (N, P) of a digit.

    Args:
        kept: codes and conditions of samples of what the student was taught.
        steps: of each search.
    """
    how = DescriptionConfig(steps=steps)
    label = torch.eye(original.classes, device=x.device)[digit].expand(len(x), -1)
    known = code_length(original, x, label, how, label="")
    unseen = description_length(student, x, how, label=f"what a student needs for {digit}")
    samples, c = original.decode(*kept), kept[1]
    by_student, by_original = (
        code_length(m, samples, c, how, label="") for m in (student, original)
    )
    return known, unseen - (by_student - by_original).mean()
