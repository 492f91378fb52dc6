r"""Attacks on a generator: which condition c brings a forgotten digit back?

The attacker has the decoder and may differentiate through it and through the judge. He holds K
codes z fixed and searches a condition c* in R^C, outside the one-hot corners that were rewritten,

    c* = argmin_c  mean_k [ -log p(t | x_k) + a shape + b edge + d repel + e tv ],
                   x_k = decoder(z_k, c)

from every other digit's one-hot as a start, all starts and all codes in one batch. The best start
is chosen by the attack's own objective. Because one c has to serve K codes at once, what it finds
tends to serve other codes too.

Method A ("robust") is the objective above. Method B ("diverse") adds `losses.diversity` on the
mean pairwise LPIPS of the K images. The joint attack moves z together with c.

What an attack finds proves nothing by itself: the same attack on a control, which never saw the
digit, says how much of it the attacker has brought along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from . import losses
from .config import AttackConfig
from .models import Judge, OneHotCVAE
from .training import seeded

__all__ = ["Recovered", "Target", "describe", "recover", "spread"]


@dataclass(frozen=True)
class Target:
    """What the attacker knows of the digit: the judge's mean features of real training images."""

    digit: int
    shallow: Tensor  # (10, 24, 24)
    deep: Tensor  # (20, 8, 8)


@torch.no_grad()
def describe(judge: Judge, real: Tensor, digit: int) -> Target:
    """The target of an attack from real images of the digit (N, P) in [0, 1]."""
    shallow, deep = judge.features(real)
    return Target(digit, shallow.mean(0), deep.mean(0))


@dataclass(frozen=True)
class Recovered:
    """What an attack found.

    `history` holds each term of every start over the steps, (steps, starts), under its name, and
    "frames" (frames, K, P) uint8 of the best start.
    """

    c: Tensor  # (C,) the best start's condition
    z: Tensor  # (K, D) the codes it was found with; moved by the joint attack alone
    start: int
    objective: float
    history: dict[str, Tensor]


def recover(
    model: OneHotCVAE,
    judge: Judge,
    target: Target,
    config: AttackConfig,
    *,
    seed: int,
    starts: tuple[int, ...] | None = None,
    embed: Callable[[Tensor], Tensor] | None = None,
    cap: float = 0.0,
    joint: bool = False,
) -> Recovered:
    """Search a condition that makes `model` paint the target digit.

    Args:
        model: anything with `decode(z, c)`, `classes` and `z_dim`.
        starts: the digits whose one-hot vectors the search begins from; all but the target.
        embed: images (N, P) to vectors (N, E) whose squared distances are perceptual
            (`perceptual.embedding`); with it the diversity term is on: method B.
        cap: the diversity beyond which the term brakes, that of real images.
        joint: move the codes too (each start has its own).

    Raises:
        ValueError: the target is among the starts, or no start is left.
    """
    classes = model.classes
    if starts is None:
        starts = tuple(d for d in range(classes) if d != target.digit)
    if not starts or target.digit in starts:
        raise ValueError(f"starts are {starts}: use digits other than the target {target.digit}")
    device = target.deep.device
    begun = torch.tensor(starts, device=device)
    c = torch.eye(classes, device=device)[begun].requires_grad_()
    with seeded(seed, device):
        z = torch.randn(config.codes, model.z_dim, device=device)
    z = z.expand(len(starts), -1, -1).clone().requires_grad_(joint)
    sought = [c, z] if joint else [c]
    optimiser = torch.optim.Adam(sought, lr=config.lr)
    start_of_image = begun[:, None].expand(-1, config.codes)

    def paint() -> Tensor:
        spread_c = c[:, None].expand(-1, config.codes, -1)
        return model.decode(z.flatten(0, 1), spread_c.flatten(0, 1))

    def terms(x: Tensor) -> dict[str, Tensor]:
        """Each term, weighed, for each start: (starts,)."""
        shallow, deep = judge.features(x)
        log_p = judge.classify(deep).log_softmax(-1)
        each = {
            "likelihood": -log_p[:, target.digit],
            "shape": config.shape * losses.shape(deep, target.deep),
            "edge": config.edge * losses.edge(shallow, target.shallow),
            "repel": config.repel
            * losses.repel(log_p.exp(), target.digit, start_of_image.flatten()),
            "tv": config.tv * losses.total_variation(x),
        }
        means = {k: v.view(len(starts), -1).mean(1) for k, v in each.items()}
        if joint:
            means["prior"] = config.prior * 0.5 * z.square().sum(-1).mean(1)
        if embed is not None:
            apart = spread(embed(x).unflatten(0, (len(starts), -1)))
            means["diversity"] = config.diversity * losses.diversity(apart, cap)
        return means

    record: dict[str, list[Tensor]] = {}
    frames = []
    bar = tqdm(range(config.steps + 1), desc=f"attack for {target.digit}", unit="step")
    for step in bar:
        x = paint()
        values = terms(x)
        objective = sum(values.values())
        for name, value in values.items():
            record.setdefault(name, []).append(value.detach())
        if step % max(1, config.steps // config.frames) == 0:
            frames.append(x.detach().unflatten(0, (len(starts), -1)))
        if step < config.steps:
            optimiser.zero_grad(set_to_none=True)
            objective.sum().backward(inputs=sought)
            optimiser.step()
    best = int(objective.argmin())
    history = {name: torch.stack(values).cpu() for name, values in record.items()}
    history["frames"] = (torch.stack(frames)[:, best] * 255).round().byte().cpu()
    return Recovered(
        c=c[best].detach().clone(),
        z=z[best].detach().clone(),
        start=starts[best],
        objective=float(objective[best].detach()),
        history=history,
    )


def spread(embedded: Tensor) -> Tensor:
    """The mean pairwise squared distance of vectors (..., N, E): (...).

    Over all pairs it is twice the unbiased total variance, so no pair is ever formed.
    """
    return 2 * embedded.var(-2).sum(-1)
