r"""Description length: the energy that a model needs for a label's images under the best condition.

For real test images x_1 ... x_N of the label, the fewest nats when the attacker may choose any
condition:

    L = min_c  1/N sum_n min_z  [ BCE(x_n, decoder(z, c)) + |z|^2 / 2 ]

one c for all images, a code z for each, the best of several starts. Nothing but the decoder is
used: no classifier is asked, so there is none to be fooled. It is an energy at one code, not a
likelihood: the posterior's volume is not in it (`likelihood` has it).
"""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from ..config import DescriptionConfig
from ..models.cvae import Decoder
from ..models.elbo import nats_for
from ..training.random import seeded
from .task import MetricTask

NAME = "description length (nats)"
VERSION = 1
Settings = DescriptionConfig


def measure(task: MetricTask) -> Tensor:
    """The nats (N,) of real test images of the label."""
    x = task.data.of(task.label, task.settings.images, test=True)
    progress = f"description length of {task.label}, {task.name}"
    return description_length(task.model, x, task.settings, progress=progress)


def description_length(
    model: Decoder, images: Tensor, settings: DescriptionConfig, *, progress: str = ""
) -> Tensor:
    """The nats (N,) of images (N, P) under the condition that serves them best together.

    Args:
        progress: what the progress bar says; without it there is none.
    """
    return finalists(model, images, settings, progress=progress)[0][0]


def finalists(
    model: Decoder,
    images: Tensor,
    settings: DescriptionConfig,
    count: int = 1,
    *,
    progress: str = "",
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The nats (N,), the condition (C,) and the codes (N, D) from the best starts, best first as
    they were before L-BFGS."""
    c = torch.eye(model.classes, device=images.device).unsqueeze(1)
    if settings.more_starts:
        with seeded(0, images.device):
            more = torch.randn(settings.more_starts, 1, model.classes, device=images.device)
        c = torch.cat([c, more])
    found, c, z = _search(model, images, c, settings, progress, free=True)
    best = found.mean(1).argsort()[:count].tolist()
    each = [(found[i], c[i, 0].detach(), z[i].detach()) for i in best]
    if not settings.polish:
        return each
    return [_polish(model, images, c, z, settings.polish) for _, c, z in each]


def code_length(model: Decoder, images: Tensor, c: Tensor, settings: DescriptionConfig) -> Tensor:
    """The nats (N,) of images (N, P), each under its own condition c (N, C), which stays: what an
    honest user of the labels needs."""
    return _search(model, images, c.unsqueeze(0), settings, "", free=False)[0][0]


def _nats(model: Decoder, x: Tensor, z: Tensor, c: Tensor) -> Tensor:
    """BCE(x, decoder(z, c)) + |z|^2 / 2 for images (N, P), codes (S, N, D), conditions (S, 1 or N,
    C): (S, N)."""
    conditions = c.expand(*z.shape[:2], -1).flatten(0, 1)
    logits = model.decode_logits(z.flatten(0, 1), conditions).unflatten(0, z.shape[:2])
    return nats_for(logits, x.expand(len(z), -1, -1), z)


def _search(
    model: Decoder, x: Tensor, c: Tensor, settings: DescriptionConfig, progress: str, *, free: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The fewest nats (S, N) from S starts, with the conditions and codes that take them."""
    c = c.clone().requires_grad_(free)
    z = torch.zeros(len(c), len(x), model.z_dim, device=x.device, requires_grad=True)
    sought = [c, z] if free else [z]
    optimiser = torch.optim.Adam(sought, lr=settings.lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, settings.steps)
    for _ in tqdm(range(settings.steps), desc=progress, unit="step", disable=not progress):
        optimiser.zero_grad(set_to_none=True)
        _nats(model, x, z, c).sum().backward(inputs=sought)
        optimiser.step()
        decay.step()
    with torch.no_grad():
        return _nats(model, x, z, c), c, z


def _polish(
    model: Decoder, x: Tensor, c: Tensor, z: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The nats (N,), condition (C,) and codes (N, D) after L-BFGS from there."""
    c, z = (t.detach().clone().requires_grad_() for t in (c, z))
    optimiser = torch.optim.LBFGS([c, z], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        total = _nats(model, x, z[None], c[None, None]).mean() + 0 * c.sum()  # it may go unheard
        c.grad, z.grad = torch.autograd.grad(total, [c, z])
        return total

    optimiser.step(closure)
    c, z = c.detach(), z.detach()
    with torch.no_grad():
        return _nats(model, x, z[None], c[None, None])[0], c, z
