r"""Relearning: how soon does a label come back when the model is shown real images of it?

The decoder is fine-tuned on k real images of the label under the label itself; how many steps until
the panel recognises what it generates? A model in which the label is only hidden should be
quicker than the control. Each image has a posterior N(mu_n, diag exp log_var_n) of its own, which
is fitted beside the weights, so that no encoder is needed:

    minimise  1/k sum_n  E_q [ BCE(x_n, decoder(z, e_label)) ] + KL(q_n || N(0, I))
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..config import RelearningConfig
from ..models.cvae import one_hot
from ..models.elbo import kl_to_prior, reconstruction_bce
from ..referees.panel import Panel
from ..training.random import eval_steps, seeded
from .task import MetricTask

VERSION = 2
Settings = RelearningConfig


def measure(task: MetricTask) -> Tensor:
    """The share of samples that the panel takes for the label along the way: (numbers of real
    images, draws, evaluations). Every model is given the same images."""
    real, settings = task.data.of(task.label), task.settings

    def curve(k: int, draw: int) -> Tensor:
        seed = task.seed_of(f"relearning-{task.label}-{k}-{draw}")
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
        images = real[order[:k].to(real.device)]
        return relearning(task.model, images, task.label, task.panel, settings, seed=seed)

    runs = [(k, draw) for k in settings.images for draw in range(settings.draws)]
    bar = tqdm(runs, desc=f"relearning {task.label}, {task.name}", unit="draw")
    curves = torch.stack([curve(*run) for run in bar])
    each: Tensor = curves.unflatten(0, (len(settings.images), settings.draws))
    return each


def relearning(
    model: Any,
    images: Tensor,
    label: int,
    panel: Panel,
    settings: RelearningConfig,
    *,
    seed: int,
) -> Tensor:
    """Fine-tune a copy of the decoder on real images of the label, and watch it come back.

    Args:
        model: anything with the decoder's interface and weights; it is left as it was.
        images: (k, P) in [0, 1].

    Returns:
        The share of samples under the label that the panel takes for it, at the steps
        `eval_steps(settings.steps, settings.evaluations)`, one each.
    """
    model = copy.deepcopy(model).requires_grad_(True)
    device, k = images.device, len(images)
    c = one_hot(label, model.classes, device)
    at, curve = eval_steps(settings.steps, settings.evaluations), []

    def evaluate(z: Tensor) -> None:
        with torch.no_grad():
            decoded = model.decode(z, c.expand(len(z), -1))
        curve.append(panel.shows(decoded).eq(label).float().mean())

    with seeded(seed, device):
        z = torch.randn(settings.samples, model.z_dim, device=device)
        mu = torch.zeros(k, model.z_dim, device=device, requires_grad=True)
        log_var = torch.zeros(k, model.z_dim, device=device, requires_grad=True)
        weights = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": weights, "lr": settings.lr},
            {"params": [mu, log_var], "lr": settings.code_lr},
        ]
        optimiser = torch.optim.Adam(groups)
        evaluate(z)
        for step in range(1, settings.steps + 1):
            drawn = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
            bce = reconstruction_bce(model.decode_logits(drawn, c.expand(k, -1)), images)
            optimiser.zero_grad(set_to_none=True)
            (bce + kl_to_prior(mu, log_var)).mean().backward()
            optimiser.step()
            if step in at:
                evaluate(z)
    return torch.stack(curve)


def steps_to(curve: Tensor, at: Sequence[int], level: float = 0.5) -> int | None:
    """The first of the evaluated steps at which a curve (L,) has reached the level, or None."""
    reached = (curve >= level).nonzero()
    return at[int(reached[0])] if len(reached) else None


def area(curves: Tensor, at: Sequence[int]) -> Tensor:
    """The mean over all steps of curves (..., L) that were evaluated at some: (...)."""
    steps = torch.tensor(at, dtype=curves.dtype)
    return torch.trapezoid(curves, steps) / (steps[-1] - steps[0])
