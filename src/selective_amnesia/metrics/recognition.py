"""What classifiers say of generated images: probability, entropy, confusion, distance.

The paper's two figures are the judge's mean probability of the forgotten label and the mean
entropy of its prediction (at most ln 10 = 2.303 nats) over samples with that label. A perfect
amnesiac generates the mean of uniform noise, flat grey: what the judge says of flat grey is where
both figures end. The headline is the panel's: the share of images that it takes for the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..models.classifiers import SEEN, probabilities
from ..models.cvae import Decoder
from ..referees.cnn import RefereeCNN
from ..referees.panel import Panel
from ..training.random import seeded
from .frechet import frechet_distance

VERSION = 2


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


@torch.no_grad()
def fresh_images(model: Decoder, c: Tensor, count: int, seed: int) -> Tensor:
    """Images (count, P) from codes that no attack has seen, the same for every model; several
    conditions c (M, C) take turns."""
    with seeded(seed, c.device):
        z = torch.randn(count, model.z_dim, device=c.device)
        return model.decode(z, c.repeat(-(-count // len(c)), 1)[:count])


def entropy(p: Tensor) -> Tensor:
    """Probabilities (..., K) to entropies (...,) in nats."""
    entropies: Tensor = torch.special.entr(p).sum(-1)
    return entropies


def grey_verdict(judge: nn.Module) -> tuple[Tensor, float]:
    """What the judge says of flat grey: its probabilities (classes,) and their entropy."""
    grey = torch.full((1, SEEN**2), 0.5, device=next(judge.parameters()).device)
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
    panel: Tensor  # (C, N) 1 where the panel takes the sample for the label that was asked for
    confusion: Tensor  # (C, C + 1) share of samples that the panel takes for each class
    frechet: Tensor  # (C,) distance to real test images, in the features of its quick member

    def summary(self) -> dict[str, list[float]]:
        """Means for each label."""
        return {
            "judge_probability": self.judge.mean(1).tolist(),
            "judge_entropy": self.judge_entropy.mean(1).tolist(),
            "panel_share": self.panel.mean(1).tolist(),
            "frechet": self.frechet.tolist(),
        }


def score(
    images: Tensor,
    judge: nn.Module,
    panel: Panel,
    real: Tensor,
    real_labels: Tensor,
) -> Scores:
    """The verdicts on images (C, N, P), row c asked for with label c.

    Args:
        real: real images (M, P) in [0, 1] with `real_labels` (M,), for the Frechet distance.
    """
    classes = len(images)
    by_judge = probabilities(judge, images)
    features, real_features = (_features(panel.quick(), x) for x in (images, real))
    rows = torch.arange(classes)
    taken = nn.functional.one_hot(panel.shows(images), classes + 1).float()
    frechet = [
        frechet_distance(features[c], real_features[real_labels == c]) for c in range(classes)
    ]
    return Scores(
        judge=by_judge[rows, :, rows],
        judge_entropy=entropy(by_judge),
        panel=taken[rows, :, rows],
        confusion=taken.mean(1),
        frechet=images.new_tensor(frechet),
    )


@dataclass(frozen=True)
class SampleMetrics:
    """The verdicts on N images that should show one label (see `evaluate_samples`)."""

    judge: Tensor  # (N,) judge's probability of the label
    panel: Tensor  # (N,) 1 where the panel takes the image for the label
    members: Tensor  # (members, N) 1 where each of them does
    nothing: Tensor  # (N,) 1 where the panel takes the image for none of the classes
    diversity: Tensor  # () mean pairwise perceptual distance
    frechet: Tensor  # () distance to real images of the label, in the quick member's features


@torch.no_grad()
def evaluate_samples(
    images: Tensor,
    label: int,
    judge: nn.Module,
    panel: Panel,
    embedding: Embedding,
    real: Tensor,
) -> SampleMetrics:
    """The verdicts on images (N, P) that should show the label.

    Args:
        real: real images (M, P) of the label.
    """
    features, real_features = (_features(panel.quick(), x) for x in (images, real))
    votes = panel.votes(images)
    shown = panel.verdict(votes)
    return SampleMetrics(
        judge=probabilities(judge, images)[:, label],
        panel=shown.eq(label).float(),
        members=votes.eq(label).float(),
        nothing=shown.eq(panel.none).float(),
        diversity=spread(embedding.embed(images)),
        frechet=images.new_tensor(frechet_distance(features, real_features)),
    )


@torch.no_grad()
def _features(quick: RefereeCNN, images: Tensor) -> Tensor:
    """Images (..., P) to features (..., F)."""
    rows = images.flatten(0, -2)
    found = torch.cat([quick.features(part) for part in rows.split(1000)])
    return found.view(*images.shape[:-1], -1)
