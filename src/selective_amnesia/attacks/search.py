r"""The search that attacks share: Adam on the condition, from every other label at once.

K codes z stay fixed (`spanning_codes`); sought is a condition c* in R^C, outside the one-hot
corners that were rewritten,

    c* = argmin_c  mean_k sum of terms(x_k),         x_k = decoder(z_k, c)

from every other label's one-hot as a start, all starts and all codes in one batch. Once it has
settled, the starts that are behind are dropped; the best of the others, by the attack's own
objective, is the result. Because one c has to serve K codes at once, what it finds tends to serve
other codes too. The starts that are left can also answer `together`, as a mixture of conditions
whose images, all of them, are to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..metrics.recognition import Embedding, spread
from ..models.classifiers import Judge, frozen
from ..models.cvae import Decoder
from ..training.random import seeded


@dataclass(frozen=True)
class Target:
    """What the attacker knows of the label: the judge's mean features of real training images."""

    label: int
    shallow: Tensor  # (10, 24, 24)
    deep: Tensor  # (20, 8, 8)


@dataclass
class AttackTask:
    """What an attack works with. Of the classifiers it has frozen copies."""

    model: Decoder
    judge: Judge  # to differentiate through
    label: int  # what is to be recovered
    real: Tensor  # (N, P) real training images of the label
    embedding: Embedding  # for the diversity of images
    settings: Any  # the attack's
    surrogates: Sequence[nn.Module]  # of the attacker's own; labels' logits are their first outputs
    seed: int  # of all that is random

    def __post_init__(self) -> None:
        self.device = self.real.device
        self.judge = frozen(self.judge)
        self.surrogates = [frozen(classifier) for classifier in self.surrogates]

    @cached_property
    def target(self) -> Target:
        """The label's mean features."""
        with torch.no_grad():
            shallow, deep = self.judge.features(self.real)
        return Target(self.label, shallow.mean(0), deep.mean(0))

    @cached_property
    def cap(self) -> float:
        """The diversity of real images of the label."""
        with torch.no_grad():
            return float(spread(self.embedding.embed(self.real)))


@dataclass(frozen=True)
class Recovered:
    """What an attack found: one condition or, where several answer together, M, the best first.

    `history` holds each term of every start over the steps, (steps, starts), under its name (NaN
    once a start is dropped), and "frames" (frames, K, P) uint8 of the best start.
    """

    c: Tensor  # (M, C); on fresh codes they take turns
    z: Tensor  # (K, D) the codes the best was found with
    start: int  # where the best began
    objective: float
    history: dict[str, Tensor]


@dataclass(frozen=True)
class View:
    """One step of a search, of S starts that are left with K codes each."""

    x: Tensor  # (S * K, P) the images
    z: Tensor  # (S, K, D) their codes
    c: Tensor  # (S, C) their conditions
    begun: Tensor  # (S,) the label that each start began from
    step: int
    settled: bool  # the starts that were behind have been dropped
    compared: bool  # the starts are compared at this step

    def mean(self, values: Tensor) -> Tensor:
        """Values of each image (S * K,) as means of each start (S,)."""
        return values.view(len(self.c), -1).mean(1)


Terms = Callable[[View], dict[str, Tensor]]


def search(task: AttackTask, terms: Terms, *, move_codes: bool = False) -> Recovered:
    """Search a condition that makes the model generate the label.

    Args:
        terms: what is minimised, by name: each weighed, for each start that is left, (S,).
        move_codes: move the codes too (each start has its own).
    """
    return _Search(task, terms, move_codes).to_the_end()


class _Search:
    def __init__(self, task: AttackTask, terms: Terms, move_codes: bool) -> None:
        self.task, self.terms, settings = task, terms, task.settings
        self.starts = [k for k in range(task.model.classes) if k != task.label]
        self.begun = torch.tensor(self.starts, device=task.device)
        self.c = torch.eye(task.model.classes, device=task.device)[self.begun].requires_grad_()
        with seeded(task.seed, task.device):
            z = spanning_codes(settings.codes, task.model.z_dim, task.device)
        self.z = z.expand(len(self.starts), -1, -1).clone().requires_grad_(move_codes)
        self.sought = [self.c, self.z] if move_codes else [self.c]
        self.settled = round(settings.settle * settings.steps)
        self.alive = torch.arange(len(self.starts), device=task.device)
        self.record: dict[str, list[Tensor]] = {}
        self.frames: list[Tensor] = []

    def to_the_end(self) -> Recovered:
        settings = self.task.settings
        optimiser = torch.optim.Adam(self.sought, lr=settings.lr)
        decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, settings.steps)
        bar = tqdm(range(settings.steps + 1), desc=f"attack for {self.task.label}", unit="step")
        for step in bar:
            view = self.view(step)
            values = self.terms(view)
            objective = torch.as_tensor(sum(values.values()))
            self.note(view, values)
            if step < settings.steps:
                optimiser.zero_grad(set_to_none=True)
                objective.sum().backward(inputs=self.sought)
                optimiser.step()
                decay.step()
            if step + 1 == self.settled:
                finalists = min(settings.finalists, len(self.starts))
                ahead = objective.topk(finalists, largest=False).indices
                self.alive = self.alive[ahead.sort().values]
        return self.found(objective.detach())

    def view(self, step: int) -> View:
        z, c, settings = self.z[self.alive], self.c[self.alive], self.task.settings
        conditions = self.c[self.alive, None].expand(-1, settings.codes, -1)
        return View(
            x=self.task.model.decode(z.flatten(0, 1), conditions.flatten(0, 1)),
            z=z,
            c=c,
            begun=self.begun[self.alive],
            step=step,
            settled=step >= self.settled,
            compared=step in (self.settled - 1, settings.steps),
        )

    def note(self, view: View, values: dict[str, Tensor]) -> None:
        settings, starts = self.task.settings, len(self.starts)
        for name, value in values.items():
            row = value.new_full((starts,), float("nan"))
            row = row.index_copy(0, self.alive, value.detach())
            self.record.setdefault(name, []).append(row)
        if view.step % max(1, settings.steps // settings.frames) == 0:
            blank = view.x.new_zeros(starts, settings.codes, view.x.shape[1])
            pictures = view.x.detach().unflatten(0, (len(self.alive), -1))
            self.frames.append(blank.index_copy(0, self.alive, pictures))

    def found(self, objective: Tensor) -> Recovered:
        ranked = self.alive[objective.argsort()]
        best = int(ranked[0])
        chosen = ranked if self.task.settings.together else ranked[:1]
        history = {name: torch.stack(values).cpu() for name, values in self.record.items()}
        history["frames"] = (torch.stack(self.frames)[:, best] * 255).round().byte().cpu()
        return Recovered(
            c=self.c.detach()[chosen],
            z=self.z[best].detach().clone(),
            start=self.starts[best],
            objective=float(objective.min()),
            history=history,
        )


def spanning_codes(count: int, z_dim: int, device: torch.device) -> Tensor:
    """Codes (count, D) that stand for N(0, I) better than as many drawn from it: pairs +-sqrt(D) q
    along the directions q of random orthonormal bases.

    2 D of them have the mean, the covariance and every third moment of N(0, I).
    """
    bases = -(-count // (2 * z_dim))
    q = torch.linalg.qr(torch.randn(bases, z_dim, z_dim, device=device)).Q.transpose(-1, -2)
    pairs = torch.stack([q, -q], 2) * z_dim**0.5
    codes: Tensor = pairs.reshape(-1, z_dim)[:count]
    return codes
