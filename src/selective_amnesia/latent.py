r"""Where the encoder puts an image, how that is drawn on a page, and how it is measured.

The encoder sees an image with its label or *blind*, with a zero vector in the label's place. An
encoding is the mean mu(x, c) of q(z | x, c), a point in R^D. Three numbers say whether forgetting
has moved it:

    purity          of an image's k nearest neighbours, the share with the image's own label
    silhouette      (b - a) / max(a, b): a the mean distance to the images of the same label, b to
                    those of the nearest other label (Rousseeuw 1987)
    centroid shift  |mean_after - mean_before| of one label's encodings, in standard deviations of
                    the prior N(0, I)

All are taken in R^D, never on a projection, which keeps neighbours at best.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .config import amount
from .config import count as whole
from .models import OneHotCVAE, check_rows, one_hot, shaped

__all__ = [
    "centroid_shift",
    "encodings",
    "main_directions",
    "pca",
    "plane",
    "purity",
    "rarest",
    "silhouette",
    "tsne",
    "umap",
]

Points = dict[str, np.ndarray]


@torch.no_grad()
def encodings(model: OneHotCVAE, x: Tensor, labels: Tensor, *, blind: bool = False) -> Tensor:
    """The means mu (N, D) of images (N, P) in [0, 1] with labels (N,).

    Args:
        blind: give the encoder a zero vector in the label's place.
    """
    c = one_hot(labels, model.classes)
    return model.encode(x, torch.zeros_like(c) if blind else c)[0]


# --- projections ---------------------------------------------------------------------------------


def _arrays(codes: Mapping[str, Tensor]) -> Points:
    if not codes:
        raise ValueError("there are no codes: give those of at least one model")
    arrays = {name: check_rows(name, z, 2).cpu().numpy() for name, z in codes.items()}
    sizes = {name: z.shape[1] for name, z in arrays.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"the codes differ in size ({listed}): use models with one z_dim")
    return arrays


def pca(codes: Mapping[str, Tensor]) -> Points:
    """Each set of codes (N, D) on the first one's two principal components: (N, 2).

    Raises:
        ValueError: the sets differ in D.
    """
    from sklearn.decomposition import PCA

    arrays = _arrays(codes)
    projection = PCA(2, svd_solver="full").fit(next(iter(arrays.values())))
    return {name: projection.transform(z) for name, z in arrays.items()}


def umap(codes: Mapping[str, Tensor], neighbours: int, seed: int) -> Points:
    """A UMAP (McInnes et al. 2018) of the first set of codes, to which the others are added.

    It is fitted on the first set alone, so a point that has not moved in R^D lands where its
    original lies, and a move on the page is a move in the space.

    Raises:
        ValueError: the sets differ in D, or the first has no more points than `neighbours`.
    """
    arrays = _arrays(codes)
    first = next(iter(arrays))
    whole("seed", seed, 0)
    if not whole("neighbours", neighbours, 2) < len(arrays[first]):
        raise ValueError(
            f"UMAP needs more points than its {neighbours} neighbours (at least 2), and "
            f"{first} has {len(arrays[first])}: encode more images or ask for fewer neighbours"
        )
    points = {}
    with tqdm(arrays, desc="UMAP", unit="set") as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*n_jobs.*")  # one thread: what a seed costs
        from umap import UMAP

        projection = UMAP(n_neighbors=neighbours, n_epochs=200, random_state=seed, n_jobs=1)
        for name in bar:
            z = arrays[name]
            points[name] = projection.transform(z) if points else projection.fit_transform(z)
    return points


def tsne(codes: Mapping[str, Tensor], count: int, seed: int) -> Points:
    """A t-SNE (van der Maaten & Hinton 2008) of the same `count` images from every set, jointly.

    t-SNE places points and learns no map that could be applied to others. Embedded together, the
    sets share one page: an image whose two codes agree is drawn twice in one place.

    Returns:
        (count, 2) for each set, the images `subsample` chooses.

    Raises:
        ValueError: the sets differ in D.
    """
    from sklearn.manifold import TSNE

    arrays = _arrays(codes)
    whole("count", count, 2)
    if len({len(z) for z in arrays.values()}) > 1:
        raise ValueError("the sets hold different images: encode the same with every model")
    rows = subsample(len(next(iter(arrays.values()))), count, seed)
    joint = np.concatenate([z[rows] for z in arrays.values()])
    method = TSNE(init="pca", random_state=seed, perplexity=min(30, len(joint) / 4), verbose=2)
    bar = tqdm(total=method.max_iter, desc="t-SNE", unit="step")
    with bar, redirect_stdout(_Steps(bar)):
        page = method.fit_transform(joint)
    return dict(zip(arrays, np.split(page, len(arrays)), strict=True))


class _Steps(io.TextIOBase):
    """Reads how far scikit-learn has come, which it only prints, and moves a bar there."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def write(self, text: str) -> int:
        if found := re.search(r"Iteration (\d+)", text):
            self.bar.update(int(found[1]) - self.bar.n)
        return len(text)


def subsample(total: int, count: int, seed: int) -> np.ndarray:
    """`count` of `total` indices, sorted: the same for the same seed."""
    whole("count", count)
    whole("seed", seed, 0)
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


# --- numbers -------------------------------------------------------------------------------------


def purity(z: Tensor, labels: Tensor, neighbours: int = 10) -> Tensor:
    """For each code (N, D) the share of its nearest neighbours with its own label: (N,).

    Raises:
        ValueError: there are not more codes than neighbours.
    """
    from sklearn.neighbors import NearestNeighbors

    shaped(codes=(z, "N D"), labels=(labels, "N"))
    if not whole("neighbours", neighbours) < len(z):
        raise ValueError(f"{len(z)} codes have no {neighbours} neighbours each: ask for fewer")
    search = NearestNeighbors(n_neighbors=neighbours).fit(z.cpu().numpy())
    near = torch.from_numpy(search.kneighbors(return_distance=False))  # without the code itself
    labels = labels.cpu()
    return (labels[near] == labels.unsqueeze(1)).float().mean(1)


def silhouette(z: Tensor, labels: Tensor, count: int, seed: int) -> Tensor:
    """The silhouettes of `count` of the codes (N, D), from -1 to 1.

    Raises:
        ValueError: fewer than two labels are among them.
    """
    from sklearn.metrics import silhouette_samples

    shaped(codes=(z, "N D"), labels=(labels, "N"))
    rows = subsample(len(z), count, seed)
    chosen = labels.cpu().numpy()[rows]
    if len(np.unique(chosen)) < 2:
        raise ValueError("a silhouette compares labels: give codes of at least two")
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
    shaped(before=(before, "N D"), after=(after, "N D"), labels=(labels, "N"))
    one_hot(labels, classes)  # refuses labels that are none
    whole("draws", draws)
    whole("seed", seed, 0)
    moves, labels = (after - before).cpu().double(), labels.cpu()
    table = torch.full((classes, 3), torch.nan, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for label in labels.unique().tolist():
        own = moves[labels == label]
        # How often each image is drawn, as a matrix: the means of all draws are one product.
        rows = torch.randint(len(own), (draws, len(own)), generator=generator)
        weights = torch.zeros(draws, len(own), dtype=torch.float64)
        weights.scatter_add_(1, rows, torch.ones_like(rows, dtype=torch.float64) / len(own))
        lengths = (weights @ own).norm(dim=1)
        bounds = lengths.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        table[label] = torch.cat([own.mean(0).norm().view(1), bounds])
    return table.float()


# --- the decoder's side --------------------------------------------------------------------------


def main_directions(z: Tensor, count: int = 2) -> tuple[Tensor, Tensor]:
    """The principal directions of codes (N, D), most spread first: (count, D), and the standard
    deviations along them (count,). Each points where its largest entry is positive."""
    check_rows("codes", z, 2)
    whole("count", count)
    _, values, vectors = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    directions = vectors[:count]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * largest.sign(), values[:count] / (len(z) - 1) ** 0.5


def plane(directions: Tensor, extent: float, steps: int) -> Tensor:
    """Codes (steps, steps, D) on the plane of two directions (2, D), from -extent to extent: the
    first direction goes to the right, the second upwards."""
    check_rows("directions", directions, 2)
    amount("extent", extent)
    s = torch.linspace(-extent, extent, whole("steps", steps), device=directions.device)
    across, up = torch.meshgrid(s, s.flip(0), indexing="xy")
    return across.unsqueeze(-1) * directions[0] + up.unsqueeze(-1) * directions[1]


def rarest(z: Tensor, labels: Tensor, digit: int, count: int) -> Tensor:
    """The indices (count,) of the digit's images whose codes lie farthest from the origin, where
    the prior N(0, I) is thinnest; the rarest first."""
    shaped(codes=(z, "N D"), labels=(labels, "N"))
    whole("count", count)
    own = (labels == whole("digit", digit, 0)).nonzero().squeeze(1)
    if not len(own):
        raise ValueError(f"no image shows a {digit}: use a digit that is among the labels")
    return own[z[own].norm(dim=1).argsort(descending=True)[:count]]
