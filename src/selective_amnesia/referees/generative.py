r"""Analysis by synthesis: a density for each class, and an image that none explains is none.

For each class a mixture of probabilistic principal components (Tipping and Bishop, 1999), after the
idea of Schott et al. (ICLR 2019), where it is a variational autoencoder: each of `parts` components
writes an image from a few numbers and adds noise of variance sigma^2,

    log p(x | part) = -1/2 [ log det C + (x - m)^T C^-1 (x - m) + P log 2 pi ],
    C = W W^T + sigma^2 I

The score of a class is the log of its odds, by the best of its components, against a mixture for
images of nothing, per pixel. sigma^2 is one for all, so that no component is praised for seeing
little. Images are seen at half their size, where single grains of noise vanish, and some of those
it learns from have thicker strokes, haze and grain. It is trained on images alone, apart from every
CVAE.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Config
from ..models.classifiers import side_of
from ..training.augment import corrupt, smooth, thicken
from ..training.random import seeded
from .task import MemberTask, Scorer, Tensors

VERSION = 3


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """`parts` components a class, each of `directions` numbers, from at most `images` of it, half
    of them with `haze` and `grain` of up to that strength. Of the blends among the images of
    nothing only the share `blends` is learned: they lie near every class."""

    parts: int = 32
    directions: int = 24
    images: int = 6000
    haze: float = 0.5
    grain: float = 0.3
    blends: float = 0.25


def fit(task: MemberTask) -> Tensors:
    """Means (classes + 1, parts, P), axes, their variances and the noise's; the last is nothing."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    settings: Settings = task.settings
    means, axes, spreads, left = [], [], [], []
    with seeded(task.seed, task.images.device):
        each = [
            halved(varied(task.images[task.labels == c][: settings.images], settings))
            for c in range(task.classes)
        ]
    blended = len(task.none) // 2  # they come first, see `augment.hard_negatives`
    each.append(halved(task.none[round((1 - settings.blends) * blended) :]))
    for images in each:
        x = images.cpu().numpy()
        parts = min(settings.parts, max(1, len(x) // (2 * settings.directions)))
        clusters = KMeans(parts, n_init=1, max_iter=15, random_state=task.seed).fit_predict(x)
        found = []
        for part in range(parts):
            own = x[clusters == part]
            own = own if len(own) > 2 else x  # a cluster of one image has no directions
            k = min(settings.directions, len(own) - 1)
            found.append(PCA(k, svd_solver="randomized", random_state=task.seed).fit(own))
        for part in range(settings.parts):  # of few images there are fewer, and they come again
            pca = found[part % parts]
            empty = settings.directions - len(pca.components_)
            means.append(torch.as_tensor(pca.mean_))
            axes.append(F.pad(torch.as_tensor(pca.components_), (0, 0, 0, empty)))
            spreads.append(F.pad(torch.as_tensor(pca.explained_variance_), (0, empty)))
            left.append(float(pca.noise_variance_))
    noise = sum(left) / len(left)
    shape = task.classes + 1, settings.parts
    variance = torch.stack(spreads).float().clamp(min=noise)
    return {
        "means": torch.stack(means).float().unflatten(0, shape),
        "axes": torch.stack(axes).float().unflatten(0, shape),
        "variance": variance.unflatten(0, shape),
        "noise": torch.tensor(noise),
    }


def scorer(learned: Tensors) -> Scorer:
    """Images (N, P) to scores (N, classes), nats a pixel."""
    noise, variance, means = learned["noise"], learned["variance"], learned["means"]
    classes, parts, k, p = learned["axes"].shape
    flat = learned["axes"].view(-1, p)  # (classes * parts * k, P)
    shift = torch.einsum("cskp,csp->csk", learned["axes"], means)

    def scores(x: Tensor) -> Tensor:
        x = halved(x)
        along = (x @ flat.T).view(-1, classes, parts, k) - shift
        centred = torch.cdist(x, means.view(-1, p)).square().view(-1, classes, parts)
        explained = (along.square() * (1 / noise - 1 / variance)).sum(-1)
        log_det = variance.log().sum(-1) + (p - k) * noise.log()
        log_density = -0.5 * (centred / noise - explained + log_det + p * log(2 * pi))
        best = log_density.amax(-1) / p
        odds: Tensor = best[:, :-1] - best[:, -1:]
        return odds

    return scores


def halved(x: Tensor) -> Tensor:
    """Images (N, P) at half their side, (N, P / 4)."""
    side = side_of(x)
    return F.avg_pool2d(smooth(x).view(-1, 1, side, side), 2).flatten(1)


def varied(x: Tensor, settings: Settings) -> Tensor:
    """Images (N, P), half of them with thicker strokes, half with haze and grain."""
    first, second = (torch.rand(2, len(x), 1, device=x.device) < 0.5).unbind()
    x = torch.where(first, thicken(x), x)
    return torch.where(second, corrupt(x, settings.haze, settings.grain), x)
