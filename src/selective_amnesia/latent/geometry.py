r"""How the encodings of labelled images lie in R^D, and what lies where they do.

Three numbers say whether forgetting has moved them:

    purity          of an image's k nearest neighbours, the share with the image's own label
    silhouette      (b - a) / max(a, b): a the mean distance to the images of the same label, b to
                    those of the nearest other label (Rousseeuw 1987)
    centroid shift  |mean_after - mean_before| of one label's encodings, in standard deviations of
                    the prior N(0, I)

All are taken in R^D, never on a projection. Planes and rare images are for the decoder's side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .encodings import subsample


def purity(z: Tensor, labels: Tensor, neighbours: int = 10) -> Tensor:
    """For each code (N, D) the share of its nearest neighbours with its own label: (N,)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=neighbours).fit(z.cpu().numpy())
    near = torch.from_numpy(search.kneighbors(return_distance=False))  # without the code itself
    labels = labels.cpu()
    return (labels[near] == labels.unsqueeze(1)).float().mean(1)


def silhouette(z: Tensor, labels: Tensor, count: int, seed: int) -> Tensor:
    """The silhouettes (count,) of `count` of the codes (N, D), from -1 to 1."""
    from sklearn.metrics import silhouette_samples

    rows = subsample(len(z), count, seed)
    chosen = labels.cpu().numpy()[rows]
    return torch.from_numpy(silhouette_samples(z.cpu().numpy()[rows], chosen)).float()


def centroid_shift(
    before: Tensor, after: Tensor, labels: Tensor, classes: int, draws: int = 1000, seed: int = 0
) -> Tensor:
    """How far each label's centroid moved, with a 95 % interval: (classes, 3), (shift, low, high).

    The interval is a bootstrap over images, which keep their two codes together. A label without
    images is not a number.

    Args:
        before, after: the codes (N, D) of the same images.
    """
    moves, labels = (after - before).cpu().double(), labels.cpu()
    table = torch.full((classes, 3), torch.nan, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for label in torch.unique(labels).tolist():
        own = moves[labels == label]
        # How often each image is drawn, as a matrix: the means of all draws are one product.
        rows = torch.randint(len(own), (draws, len(own)), generator=generator)
        weights = torch.zeros(draws, len(own), dtype=torch.float64)
        weights.scatter_add_(1, rows, torch.ones_like(rows, dtype=torch.float64) / len(own))
        lengths = (weights @ own).norm(dim=1)
        bounds = lengths.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        table[label] = torch.cat([own.mean(0).norm().view(1), bounds])
    return table.float()


def main_directions(z: Tensor, count: int = 2) -> tuple[Tensor, Tensor]:
    """The principal directions of codes (N, D), most spread first: (count, D), and the standard
    deviations along them (count,). Each points where its largest entry is positive."""
    _, values, vectors = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    directions = vectors[:count]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * largest.sign(), values[:count] / (len(z) - 1) ** 0.5


def plane(directions: Tensor, extent: float, steps: int) -> Tensor:
    """Codes (steps, steps, D) on the plane of two directions (2, D), from -extent to extent: the
    first direction goes to the right, the second upwards."""
    s = torch.linspace(-extent, extent, steps, device=directions.device)
    across, up = torch.meshgrid(s, s.flip(0), indexing="xy")
    return across.unsqueeze(-1) * directions[0] + up.unsqueeze(-1) * directions[1]


def rarest(z: Tensor, labels: Tensor, label: int, count: int) -> Tensor:
    """The indices (count,) of the label's images whose codes (N, D) lie farthest from the origin,
    where the prior N(0, I) is thinnest; the rarest first."""
    own = (labels == label).nonzero().squeeze(1)
    return own[z[own].norm(dim=1).argsort(descending=True)[:count]]
