r"""True nats: -log p(x | c) of a label's images, under the condition that serves them best.

    -log p(x | c) = -log of the integral of p(x | z, c) N(z; 0, I) over z,

by importance weighting (Rubinstein & Kroese; for VAEs Burda et al., arXiv:1509.00519). The proposal
is fitted to each image: Student distributions around the best codes z* from several starts, with
the posterior's own curvature there,

    q(z) = sum_m w_m t_10(z*_m, 1.1^2 H_m^-1),    H = I + J' diag(A''(l)) J,    J = dl/dz,

exact for a decoder of ReLUs, whose logits l are linear in z piece by piece. The condition is sought
on other images than those that it is measured on, by the stronger attacker: random conditions as
starts besides the labels, Adam and L-BFGS on energies (`description`), then L-BFGS on the weighted
nats themselves.

A pixel is one of an exponential family, -log p(x | l) = A(l) - x l. *binary*: the image is drawn
once from its grey values, x ~ Bernoulli(grey), which makes a probability on {0, 1}^P, as is usual
for MNIST (Salakhutdinov & Murray 2008). *grey*: the same formula with the grey values, which has no
normaliser; by Jensen's inequality it is at least the mean over such drawn images. *continuous*: the
continuous Bernoulli (Loaiza-Ganem & Cunningham, arXiv:1907.06845), a density on [0, 1]^P, for which
these decoders were not trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import LikelihoodConfig, WeightingConfig
from ..models.cvae import Decoder
from ..training.random import seeded
from .description import finalists
from .task import MetricTask

NAME = "negative log likelihood (nats)"
VERSION = 2
Settings = LikelihoodConfig
DEGREES, WIDER = 10, 1.1  # the proposal's: heavy tails keep single weights from ruling
EVENLY = 0.2  # of its share, over all codes found: the formula is no more than a guess
NEWTON = 15  # steps to the best code
FINALISTS = 3  # conditions with the least energy, of which the one with the fewest nats goes on
ROUNDS, REFINED = 2, 10  # new samples, and steps of L-BFGS on their nats
DRAWN = 16  # samples an image at once


class Likelihood(NamedTuple):
    """Nats (N,) of images, the same from the first quarter of the samples, and the effective
    number of samples, as a share."""

    nats: Tensor
    quarter: Tensor
    effective: Tensor


def measure(task: MetricTask) -> Tensor:
    """(3, N): a `Likelihood` of images that the condition was not sought on."""
    how = task.settings
    with seeded(task.seed_of(f"likelihood-{task.label}"), task.data.train_images.device):
        sought, x = (
            as_pixels(task.data.third(task.label, part, how.images), how.pixels)
            for part in ("search", "evaluate")
        )
        c = strongest_condition(task.model, sought, how, f"condition for {task.label}, {task.name}")
        return torch.stack(log_likelihood(task.model, x, c, how)).cpu()


def as_pixels(images: Tensor, pixels: str) -> Tensor:
    """Grey images (N, P) as such pixels: drawn black or white, or as they are."""
    return torch.bernoulli(images) if pixels == "binary" else images


def strongest_condition(
    model: Decoder, images: Tensor, settings: LikelihoodConfig, progress: str = ""
) -> Tensor:
    """The condition (C,) that serves images (N, P) best."""
    family, found = FAMILIES[settings.pixels], []
    for _, c, z in finalists(model, images, settings, FINALISTS, progress=progress):
        proposal = _proposal(model, images, c, z[None], family)
        with torch.no_grad():
            log_w = _log_weights(model, images, c, *proposal.draw(4 * DRAWN), family)
        found.append((float(_nats(log_w).mean()), c, proposal))
    _, c, proposal = min(found, key=lambda each: each[0])
    for _ in range(ROUNDS):
        c = _refined(model, images, c, proposal, family)
        proposal = _proposal(model, images, c, proposal.codes, family)
    return c


def log_likelihood(
    model: Decoder, images: Tensor, c: Tensor, settings: WeightingConfig
) -> Likelihood:
    """-log p(x | c) of images (N, P) under one condition (C,), or each under its own (N, C)."""
    starts = torch.randn(settings.codes, len(images), model.z_dim, device=images.device)
    starts[0] = 0
    family = FAMILIES[settings.pixels]
    proposal = _proposal(model, images, c, starts, family)
    parts = [min(DRAWN, settings.samples - i) for i in range(0, settings.samples, DRAWN)]
    with torch.no_grad():
        log_w = torch.cat(
            [_log_weights(model, images, c, *proposal.draw(n), family) for n in parts]
        )
    quarter = _nats(log_w[: max(1, settings.samples // 4)])
    return Likelihood(_nats(log_w), quarter, 1 / log_w.softmax(0).square().sum(0) / len(log_w))


def _log_weights(
    model: Decoder, x: Tensor, c: Tensor, z: Tensor, log_q: Tensor, family: Pixels
) -> Tensor:
    """log p(x, z | c) - log q(z) of images (N, P), samples z (S, N, D), log_q (S, N): (S, N)."""
    return -_joint(model, x, z, c, family) - log_q


def _nats(log_w: Tensor) -> Tensor:
    """-log of the mean weight over the samples (S, N): (N,)."""
    return math.log(len(log_w)) - log_w.logsumexp(0)


def _refined(model: Decoder, x: Tensor, c: Tensor, proposal: Proposal, family: Pixels) -> Tensor:
    """The condition (C,) after L-BFGS on the nats of samples that stay."""
    drawn = proposal.draw(DRAWN)
    c = c.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([c], max_iter=REFINED, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        nats = _nats(_log_weights(model, x, c, *drawn, family)).mean() + 0 * c.sum()
        (c.grad,) = torch.autograd.grad(nats, c)
        return nats

    optimiser.step(closure)
    return c.detach()


class Pixels(NamedTuple):
    """An exponential family: A and A'' of logits."""

    log_partition: Callable[[Tensor], Tensor]
    variance: Callable[[Tensor], Tensor]


def _continuous_partition(logits: Tensor) -> Tensor:
    """log((e^l - 1) / l), by a series near 0."""
    y = logits.abs() / 2
    far = torch.where(y < 0.05, 1.0, y)
    exact = far + torch.log1p(-torch.exp(-2 * far)) - torch.log(2 * far)
    return logits / 2 + torch.where(y < 0.05, y.square() / 6 - y.pow(4) / 180, exact)


def _continuous_variance(logits: Tensor) -> Tensor:
    """1 / l^2 - 1 / (2 sinh(l / 2))^2, by a series near 0."""
    y = logits.abs() / 2
    far = torch.where(y < 0.05, 1.0, y).clamp(max=40)
    exact = (1 / far.square() - 1 / far.sinh().square()) / 4
    return torch.where(y < 0.05, 1 / 12 - y.square() / 60, exact)


_BERNOULLI = Pixels(F.softplus, lambda logits: logits.sigmoid() * (-logits).sigmoid())
FAMILIES = {
    "binary": _BERNOULLI,
    "grey": _BERNOULLI,
    "continuous": Pixels(_continuous_partition, _continuous_variance),
}


def _joint(model: Decoder, x: Tensor, z: Tensor, c: Tensor, family: Pixels) -> Tensor:
    """-log p(x | z, c) - log N(z; 0, I) for images (N, P), codes (S, N, D), a condition (C,) or one
    for each image (N, C): (S, N)."""
    conditions = c.expand(*z.shape[:2], -1).flatten(0, 1)
    logits = model.decode_logits(z.flatten(0, 1), conditions).unflatten(0, z.shape[:2])
    bits: Tensor = (family.log_partition(logits) - x * logits).sum(-1)
    return bits + (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi)) / 2


class Proposal(NamedTuple):
    """A mixture of Student distributions for each of N images: codes (M, N, D), the precisions'
    Cholesky factors L and L'^-1 (M, N, D, D), and the logarithms of their shares (M, N)."""

    codes: Tensor
    factors: Tensor
    inverses: Tensor
    log_shares: Tensor

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """Codes (S, N, D) and their log densities (S, N)."""
        _, n, d = self.codes.shape
        device, degrees = self.codes.device, torch.tensor(float(DEGREES))
        which = torch.distributions.Categorical(logits=self.log_shares.T).sample((samples,))
        own = which, torch.arange(n, device=device)
        chi = torch.distributions.Chi2(degrees.to(device)).sample((samples, n, 1))
        t = torch.randn(samples, n, d, device=device) / (chi / DEGREES).sqrt()
        z = self.codes[own] + WIDER * (self.inverses[own] @ t[..., None])[..., 0]
        from_each = torch.einsum("mnde,smnd->smne", self.factors, z[:, None] - self.codes) / WIDER
        half = (DEGREES + d) / 2
        log_z = math.lgamma(DEGREES / 2) - math.lgamma(half) + d / 2 * math.log(DEGREES * math.pi)
        log_det = _log_det(self.factors) - d * math.log(WIDER) - log_z
        log_t = log_det - half * torch.log1p(from_each.square().sum(-1) / DEGREES)
        return z, (self.log_shares + log_t).logsumexp(1)


def _log_det(factors: Tensor) -> Tensor:
    return factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@torch.no_grad()
def _proposal(model: Decoder, x: Tensor, c: Tensor, starts: Tensor, family: Pixels) -> Proposal:
    """Around the codes that Newton's method, damped (Levenberg-Marquardt), finds from starts
    (M, N, D); most of the share goes to those with the most mass by Laplace's formula."""
    m = len(starts)
    z, images = starts.flatten(0, 1), x.repeat(m, 1)
    c = c.repeat(m, 1) if c.ndim == 2 else c
    energy = _joint(model, images, z[None], c, family)[0]
    damping = torch.ones_like(energy)
    for _ in range(NEWTON):
        slope, curve = _slope_and_curve(model, images, z, c, family)
        damped = curve + torch.diag_embed(damping[:, None] * curve.diagonal(dim1=-2, dim2=-1))
        tried = z - torch.linalg.solve(damped, slope)
        there = _joint(model, images, tried[None], c, family)[0]
        better = there < energy
        z, energy = torch.where(better[:, None], tried, z), torch.where(better, there, energy)
        damping = damping * torch.where(better, 0.3, 4.0)
    _, curve = _slope_and_curve(model, images, z, c, family)
    factors = torch.linalg.cholesky(curve).unflatten(0, (m, -1))
    mass = -energy.unflatten(0, (m, -1)) - _log_det(factors)
    shares = (1 - EVENLY) * mass.softmax(0) + EVENLY / m
    units = torch.eye(starts.shape[-1], device=z.device).expand_as(factors)
    inverses = torch.linalg.solve_triangular(factors.mT, units, upper=True)
    return Proposal(z.view_as(starts), factors, inverses, shares.log())


def _slope_and_curve(
    model: Decoder, x: Tensor, z: Tensor, c: Tensor, family: Pixels
) -> tuple[Tensor, Tensor]:
    """Gradient (N, D) and curvature (N, D, D) of `_joint` by the codes (N, D)."""

    def bits(logits: Tensor) -> Tensor:
        return (family.log_partition(logits) - x * logits).sum()

    units = torch.eye(z.shape[1], device=z.device)
    with torch.enable_grad():
        codes = z.detach().requires_grad_()
        logits = model.decode_logits(codes, c.expand(len(z), -1)) + 0 * codes.sum()
        # J'w is linear in w: its derivative by w along a direction is J times that direction, which
        # takes less than forward mode does, the model's own pass being shared by all directions
        w = torch.zeros_like(logits, requires_grad=True)
        (pulled,) = torch.autograd.grad(logits, codes, w, create_graph=True)
        columns = [
            torch.autograd.grad(pulled, w, unit.expand_as(z), retain_graph=True)[0]
            for unit in units
        ]
    jacobian, logits = torch.stack(columns, -1), logits.detach()
    residual = torch.func.grad(bits)(logits)
    slope = torch.einsum("npd,np->nd", jacobian, residual) + z
    return slope, jacobian.mT @ (family.variance(logits)[..., None] * jacobian) + units
