r"""Margins: a support vector machine on histograms of oriented gradients, which nobody learned.

An image is described by how much edge of each direction, over a whole turn, there is about every
fourth pixel (HOG, Dalal and Triggs, CVPR 2005), in its `axes` main directions. On these a machine
for each class c, and one for none of them, maximises its margin with an RBF kernel (Cortes and
Vapnik, 1995):

    s_c(x) = sum_n a_nc exp(-gamma |h(x) - h(x_n)|^2) + b_c

The score of a class is its distance from the strongest machine beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Config
from ..models.classifiers import side_of
from ..training.augment import corrupt, smooth
from ..training.random import seeded
from .task import MemberTask, Scorer, Tensors

VERSION = 3
DIRECTIONS = 8  # of edges, over a whole turn
CELL = 4  # pixels


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """`images` to learn from, half of them with `haze` and `grain` of up to that strength; `axes`
    of their features; what a wrong image costs."""

    images: int = 16_000
    axes: int = 128
    cost: float = 10.0
    haze: float = 0.5
    grain: float = 0.3


def fit(task: MemberTask) -> Tensors:
    """The features' axes, the support vectors and their weights in each machine."""
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    settings: Settings = task.settings
    x, y = task.images[: settings.images], task.labels[: settings.images]
    with seeded(task.seed, x.device):
        half = len(x) // 2
        x = torch.cat([x[:half], corrupt(x[half:], settings.haze, settings.grain), task.none])
    y = torch.cat([y, y.new_full((len(task.none),), task.classes)]).cpu()
    pca = PCA(settings.axes, random_state=task.seed)
    features = pca.fit_transform(torch.cat([hog(part) for part in x.split(1000)]).cpu().numpy())
    gamma = 1 / (settings.axes * features.var())
    how = {"C": settings.cost, "gamma": gamma, "cache_size": 1000}  # MiB: half the time of 200
    machines = [SVC(**how) for _ in range(task.classes + 1)]
    weights = torch.zeros(len(y), len(machines))
    for c, machine in enumerate(machines):
        machine.fit(features, (y == c).numpy())
        weights[machine.support_, c] = torch.as_tensor(machine.dual_coef_[0]).float()
    support = weights.any(1)
    learned = {
        "mean": torch.as_tensor(pca.mean_),
        "axes": torch.as_tensor(pca.components_.T),
        "vectors": torch.as_tensor(features)[support],
        "weights": weights[support],
        "bias": torch.tensor([float(machine.intercept_[0]) for machine in machines]),
        "gamma": torch.tensor(float(gamma)),
    }
    return {k: v.float().contiguous().to(x.device) for k, v in learned.items()}


def scorer(learned: Tensors) -> Scorer:
    """Images (N, P) to scores (N, classes)."""

    def scores(x: Tensor) -> Tensor:
        h = (hog(x) - learned["mean"]) @ learned["axes"]
        kernel = (-learned["gamma"] * torch.cdist(h, learned["vectors"]).square()).exp()
        s = kernel @ learned["weights"] + learned["bias"]
        best, second = s.topk(2, 1).values.split(1, 1)
        margin: Tensor = s - torch.where(s == best, second, best)
        return margin[:, :-1]

    return scores


def hog(x: Tensor) -> Tensor:
    """Images (N, P) to histograms of oriented gradients (N, F), each cell's beside its block's."""
    side = side_of(x)
    image = F.pad(smooth(x).view(-1, 1, side, side), (1, 1, 1, 1), mode="replicate")[:, 0]
    across = image[:, 1:-1, 2:] - image[:, 1:-1, :-2]
    down = image[:, 2:, 1:-1] - image[:, :-2, 1:-1]
    across = torch.where(across == 0, 1e-6, across)  # flat has no direction, and no slope there
    strength = (across.square() + down.square()).sqrt()
    direction = torch.atan2(down, across).remainder(2 * torch.pi) * (DIRECTIONS / (2 * torch.pi))
    low = direction.floor()
    share = direction - low
    bins = low.long() % DIRECTIONS
    planes = strength.new_zeros(len(x), DIRECTIONS, side, side)
    planes.scatter_add_(1, bins[:, None], (strength * (1 - share))[:, None])
    planes.scatter_add_(1, (bins[:, None] + 1) % DIRECTIONS, (strength * share)[:, None])
    # an edge between two cells counts for both, so that nothing jumps when it moves by a pixel
    tent = 1 - (torch.arange(2 * CELL, device=x.device) + 0.5 - CELL).abs() / CELL
    kernel = (tent[:, None] * tent).expand(DIRECTIONS, 1, -1, -1)
    cells = F.conv2d(planes, kernel, stride=CELL, padding=CELL // 2, groups=DIRECTIONS)
    blocks = F.unfold(cells, 2).transpose(1, 2)  # (N, blocks, 4 * DIRECTIONS)
    clipped = F.normalize(blocks, dim=-1, eps=0.1).clamp(max=0.2)
    described: Tensor = F.normalize(clipped, dim=-1, eps=0.1).flatten(1) / blocks.shape[1] ** 0.5
    return described
