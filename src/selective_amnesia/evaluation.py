"""What the classifiers say of generated images: probability, entropy, confusion, distance.

The paper's two figures are the judge's mean probability of the forgotten digit and the mean
entropy of its verdict (at most ln 10 = 2.303 nats) over samples with the forgotten label. A
perfect amnesiac paints the mean of uniform noise, flat grey: what the judge says of flat grey is
where both figures end. The headline is the referee's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import count
from .config import digit as a_digit
from .models import Judge, OneHotCVAE, Referee, check_rows, shaped
from .training import seeded

__all__ = [
    "Examined",
    "Scores",
    "entropy",
    "examine",
    "frechet_distance",
    "grey_verdict",
    "interval",
    "probabilities",
    "samples",
    "score",
    "spread",
]


@torch.no_grad()
def samples(model: OneHotCVAE, per_label: int, seed: int) -> Tensor:
    """Images (classes, per_label, P) in [0, 1] for every label, from the same codes z ~ N(0, I).

    Two models with the same seed are given the same codes: they differ by their weights alone.

    Raises:
        ValueError: `per_label` is not a positive whole number.
    """
    count("per_label", per_label)
    device = next(model.parameters()).device
    with seeded(seed, device):
        z = torch.randn(per_label, model.z_dim, device=device)
    conditions = torch.eye(model.classes, device=device)
    return torch.stack([model.decode(z, c.expand(per_label, -1)) for c in conditions])


@torch.no_grad()
def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """Images (..., P) to the classifier's probabilities (..., K)."""
    shaped(images=(images, "... P"))
    rows = images.reshape(-1, images.shape[-1])
    logits = torch.cat([classifier(part) for part in rows.split(1000)])
    return logits.softmax(-1).view(*images.shape[:-1], -1)


def entropy(p: Tensor) -> Tensor:
    """Probabilities (..., K) to entropies (...,) in nats."""
    if (p < 0).any():
        raise ValueError(f"a probability is {float(p.min()):g}: use numbers from 0 to 1")
    return torch.special.entr(p).sum(-1)


def grey_verdict(judge: Judge, pixels: int = 784) -> tuple[Tensor, float]:
    """What the judge says of flat grey: its probabilities (classes,) and their entropy."""
    grey = torch.full((1, count("pixels", pixels)), 0.5, device=next(judge.parameters()).device)
    p = probabilities(judge, grey)[0]
    return p, float(entropy(p))


def bootstrap(n: int, draws: int, seed: int) -> Tensor:
    """Rows (draws, n) of n things, drawn with replacement."""
    generator = torch.Generator().manual_seed(count("seed", seed, 0))
    return torch.randint(n, (count("draws", draws), n), generator=generator)


def interval(values: Tensor, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean of values (N,).

    Raises:
        ValueError: there are none.
    """
    if not values.numel():
        raise ValueError("an interval needs values: give at least one")
    values = values.flatten().cpu().double()
    rows = bootstrap(len(values), draws, seed)
    low, high = values[rows].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(low), float(high)


@dataclass(frozen=True)
class Scores:
    """The verdicts on N samples of each of C labels (see `score`)."""

    judge: Tensor  # (C, N) judge's probability of the label that was asked for
    judge_entropy: Tensor  # (C, N) nats
    referee: Tensor  # (C, N) referee's probability of the label that was asked for
    confusion: Tensor  # (C, C + 1) share of samples that the referee takes for each class
    frechet: Tensor  # (C,) distance to real test images of the label, in the referee's features

    def summary(self) -> dict[str, list[float]]:
        """Means for each label."""
        return {
            "judge_probability": self.judge.mean(1).tolist(),
            "judge_entropy": self.judge_entropy.mean(1).tolist(),
            "referee_probability": self.referee.mean(1).tolist(),
            "frechet": self.frechet.tolist(),
        }


def score(
    images: Tensor, judge: Judge, referee: Referee, real: Tensor, real_labels: Tensor
) -> Scores:
    """The verdicts on images (C, N, P), row c asked for with label c.

    Args:
        real: real images (M, P) in [0, 1] with `real_labels` (M,), for the Frechet distance.
    """
    shaped(
        images=(images, f"{referee.not_a_digit} N P"),
        real_images=(real, "M P"),
        real_labels=(real_labels, "M"),
    )
    classes = len(images)
    by_judge = probabilities(judge, images)
    (by_referee, features), (_, real_features) = (_refereed(referee, x) for x in (images, real))
    rows = torch.arange(classes)
    taken = torch.nn.functional.one_hot(by_referee.argmax(-1), by_referee.shape[-1])
    frechet = [
        frechet_distance(features[c], real_features[real_labels == c]) for c in range(classes)
    ]
    return Scores(
        judge=by_judge[rows, :, rows],
        judge_entropy=entropy(by_judge),
        referee=by_referee[rows, :, rows],
        confusion=taken.float().mean(1),
        frechet=images.new_tensor(frechet),
    )


@dataclass(frozen=True)
class Examined:
    """The verdicts on N images that should show one digit (see `examine`)."""

    judge: Tensor  # (N,) judge's probability of the digit
    referee: Tensor  # (N,) referee's probability of the digit
    taken: Tensor  # (N,) bool: the referee takes the image for the digit
    nothing: Tensor  # (N,) referee's probability of "not a digit"
    diversity: Tensor  # () mean pairwise perceptual distance
    frechet: Tensor  # () Frechet distance to real images of the digit, in the referee's features


@torch.no_grad()
def examine(
    images: Tensor, digit: int, judge: Judge, referee: Referee, metric: nn.Module, real: Tensor
) -> Examined:
    """The verdicts on images (N, P) that should show the digit.

    Args:
        metric: what embeds images (`perceptual.Perceptual`).
        real: real images (M, P) of the digit.
    """
    shaped(images=(images, "N P"), real_images=(real, "M P"))
    a_digit(digit, referee.not_a_digit)
    (by_referee, features), (_, real_features) = (_refereed(referee, x) for x in (images, real))
    return Examined(
        judge=probabilities(judge, images)[:, digit],
        referee=by_referee[:, digit],
        taken=by_referee.argmax(-1) == digit,
        nothing=by_referee[:, referee.not_a_digit],
        diversity=spread(metric.embed(images)),
        frechet=images.new_tensor(frechet_distance(features, real_features)),
    )


def spread(embedded: Tensor) -> Tensor:
    """The mean pairwise squared distance of vectors (..., N, E): (...).

    Over all pairs it is twice the unbiased total variance, so no pair is ever formed.

    Raises:
        ValueError: there is no pair.
    """
    shaped(vectors=(embedded, "... N E"))
    if embedded.shape[-2] < 2:
        raise ValueError("one vector makes no pair: give at least two")
    return 2 * embedded.var(-2).sum(-1)


@torch.no_grad()
def _refereed(referee: Referee, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (..., P) to the referee's probabilities (..., K) and features (..., 64)."""
    rows = images.reshape(-1, images.shape[-1])
    features = [referee.features(part) for part in rows.split(1000)]
    p = torch.cat([referee.head(part) for part in features]).softmax(-1)
    return tuple(t.view(*images.shape[:-1], -1) for t in (p, torch.cat(features)))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""The squared Frechet distance of two sets of features (N, D) and (M, D), as Gaussians:

    |mean_a - mean_b|^2 + tr(A + B - 2 (A^{1/2} B A^{1/2})^{1/2})      (Dowson & Landau 1982)

    Raises:
        ValueError: a set has fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a Frechet distance needs at least two images on either side")
    check_rows("features", a, 2)
    check_rows("features", b, 2, a.shape[1])
    a, b = a.double(), b.double()
    cov_a, cov_b = (torch.atleast_2d(torch.cov(x.T)) for x in (a, b))
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    gap = (a.mean(0) - b.mean(0)).square().sum()
    return float(gap + cov_a.trace() + cov_b.trace() - 2 * cross)
