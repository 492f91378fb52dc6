"""What classifiers say of generated images: probability, entropy, confusion, distance.

The paper's two figures are the judge's mean probability of the forgotten label and the mean
entropy of its prediction (at most ln 10 = 2.303 nats) over samples with that label. A perfect
amnesiac generates the mean of uniform noise, flat grey: what the judge says of flat grey is where
both figures end. The headline is the referee's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..models.classifiers import probabilities
from ..models.cvae import Decoder
from ..referees.cnn import RefereeCNN
from ..training.random import seeded
from .frechet import frechet_distance

VERSION = 1


class Embedding(Protocol):
    """Images (N, P) to vectors (N, E) whose squared distances are perceptual."""

    name: str

    def embed(self, x: Tensor) -> Tensor: ...


@torch.no_grad()
def samples(model: Decoder, per_label: int, seed: int, device: torch.device) -> Tensor:
    """Images (classes, per_label, P) in [0, 1] for every label, from the same codes z ~ N(0, I).

    Two models with the same seed are given the same codes: they differ by their weights alone.
    """
    with seeded(seed, device):
        z = torch.randn(per_label, model.z_dim, device=device)
    conditions = torch.eye(model.classes, device=device)
    return torch.stack([model.decode(z, c.expand(per_label, -1)) for c in conditions])


def entropy(p: Tensor) -> Tensor:
    """Probabilities (..., K) to entropies (...,) in nats."""
    entropies: Tensor = torch.special.entr(p).sum(-1)
    return entropies


def grey_verdict(judge: nn.Module, pixels: int = 784) -> tuple[Tensor, float]:
    """What the judge says of flat grey: its probabilities (classes,) and their entropy."""
    grey = torch.full((1, pixels), 0.5, device=next(judge.parameters()).device)
    p = probabilities(judge, grey)[0]
    return p, float(entropy(p))


def spread(embedded: Tensor) -> Tensor:
    """The mean pairwise squared distance of vectors (..., N, E): (...).

    Over all pairs it is twice the unbiased total variance, so no pair is ever formed.
    """
    return 2 * embedded.var(-2).sum(-1)


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
    images: Tensor, judge: nn.Module, referee: RefereeCNN, real: Tensor, real_labels: Tensor
) -> Scores:
    """The verdicts on images (C, N, P), row c asked for with label c.

    Args:
        real: real images (M, P) in [0, 1] with `real_labels` (M,), for the Frechet distance.
    """
    classes = len(images)
    by_judge = probabilities(judge, images)
    (by_referee, features), (_, real_features) = (_refereed(referee, x) for x in (images, real))
    rows = torch.arange(classes)
    taken = nn.functional.one_hot(by_referee.argmax(-1), by_referee.shape[-1])
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
class SampleMetrics:
    """The verdicts on N images that should show one label (see `evaluate_samples`)."""

    judge: Tensor  # (N,) judge's probability of the label
    referee: Tensor  # (N,) referee's probability of the label
    taken: Tensor  # (N,) bool: the referee takes the image for the label
    nothing: Tensor  # (N,) referee's probability of "none of these"
    diversity: Tensor  # () mean pairwise perceptual distance
    frechet: Tensor  # () Frechet distance to real images of the label, in the referee's features


@torch.no_grad()
def evaluate_samples(
    images: Tensor,
    label: int,
    judge: nn.Module,
    referee: RefereeCNN,
    embedding: Embedding,
    real: Tensor,
) -> SampleMetrics:
    """The verdicts on images (N, P) that should show the label.

    Args:
        real: real images (M, P) of the label.
    """
    (by_referee, features), (_, real_features) = (_refereed(referee, x) for x in (images, real))
    return SampleMetrics(
        judge=probabilities(judge, images)[:, label],
        referee=by_referee[:, label],
        taken=by_referee.argmax(-1) == label,
        nothing=by_referee[:, referee.none],
        diversity=spread(embedding.embed(images)),
        frechet=images.new_tensor(frechet_distance(features, real_features)),
    )


@torch.no_grad()
def _refereed(referee: RefereeCNN, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (..., P) to the referee's probabilities (..., K) and features (..., F)."""
    rows = images.reshape(-1, images.shape[-1])
    features = [referee.features(part) for part in rows.split(1000)]
    p = torch.cat([referee.head(part) for part in features]).softmax(-1)
    leading = images.shape[:-1]
    return p.view(*leading, -1), torch.cat(features).view(*leading, -1)
