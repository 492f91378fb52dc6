r"""Search, then erase once, after STEREO (Srivatsan et al., CVPR 2025, arXiv:2408.16807).

    search     for k = 1 ... K: erase c_{k-1} (c_0 = e, the label) for a few steps of Selective
               Amnesia; then find, in what is left,
               c_k = argmin over c of  sum_n min_z  BCE(x_n, decoder(z, c)) + |z|^2 / 2
    erase      from the original again, minimise
               sum -ELBO(noise | any of e, c_1 ... c_K)  +  gamma L_replay  +  lambda L_ewc

x_n are the original's samples of the label. The rounds only look for conditions: their network is
thrown away.

Changed: the paper finds its prompts by textual inversion, which has no code for each image; here
every image may choose its code, as the strongest attacker on a CVAE would. Its second stage steers
away from all prompts found and towards anchor prompts at once, by classifier-free guidance, which
a CVAE lacks: noise takes the place of the first, replay of the kept labels that of the anchors.

Settings: K = 4 and 200 steps a round are those of the authors' code. On seed 7 one round erases
1.28 and costs 1.8 nats, four 1.30 and 2.0: further than never having seen (benchmarks/README.md).
Access: the original and its Fisher diagonal, no data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..config import DescriptionConfig, ForgetConfig
from ..metrics.description import finalists
from ..models.cvae import OneHotCVAE
from ..training.loop import Tensors, fit
from .losses import surrogate
from .task import Task, codes_for, draw

NAME = "STEREO-like"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """`rounds` is K: each erases for `round_steps` steps and then searches for `search_steps`, on
    `images` samples of each label; of both no more than `steps`."""

    rounds: int = 4
    round_steps: int = 200
    search_steps: int = 100
    images: int = 64


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    device = next(task.original.parameters()).device
    labels = torch.eye(task.original.classes, device=device)[list(task.forget)]
    part = task.part("found", VERSION, task.settings, lambda _snapshots: search(task, labels))
    erased = torch.cat([labels, part["conditions"]])

    def terms(_step: Tensor) -> dict[str, Tensor]:
        return erasing(task, task.model, erased)

    return terms


def erasing(task: Task, model: OneHotCVAE, conditions: Tensor) -> dict[str, Tensor]:
    """The terms of Selective Amnesia, with these conditions (n, C) for the forgotten labels'."""
    forget = surrogate(model, draw(conditions, task.settings.batch_size)).sum(-1)
    return {"forget": forget, "replay": task.replay(), "ewc": task.ewc()}


def search(task: Task, labels: Tensor) -> Tensors:
    """Conditions (rounds F, C) that bring back the F forgotten labels (F, C), each found after the
    ones before it were erased."""
    settings, original = task.settings, task.original
    own = replace(task, model=copy.deepcopy(original).requires_grad_(True))
    steps = min(settings.round_steps, settings.steps)
    how = replace(settings, steps=steps, warmup=min(settings.warmup, steps - 1))
    look = DescriptionConfig(steps=min(settings.search_steps, settings.steps))
    wanted = labels.repeat_interleave(settings.images, 0)
    images = original.decode(codes_for(wanted, original), wanted).chunk(len(labels))
    found: list[Tensor] = []
    current = labels
    for k in range(settings.rounds):
        loss = _loss(own, current)
        fit(own.model, loss, how, seed=task.seed + k, label=f"erasing, round {k + 1}")
        best = [finalists(own.model, x, look, progress="what is left")[0] for x in images]
        current = torch.stack([c for _, c, _ in best])
        found.append(current)
    return {"conditions": torch.cat(found)}


def _loss(task: Task, conditions: Tensor) -> Callable[[], Tensors]:
    def loss() -> Tensors:
        return {"loss": torch.stack(list(erasing(task, task.model, conditions).values())).sum(-1)}

    return loss
