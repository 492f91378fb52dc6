r"""Where the encoder puts an image, and how that is drawn on a page.

The encoder sees an image with its label or *blind*, with a zero vector in the label's place. An
encoding is the mean mu(x, c) of q(z | x, c), a point in R^D. A projection to the page keeps
neighbours at best: what is measured is measured in R^D (`geometry`).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from ..models.cvae import OneHotCVAE, one_hot

VERSION = 2

Points = dict[str, npt.NDArray[Any]]


@torch.no_grad()
def encodings(model: OneHotCVAE, x: Tensor, labels: Tensor, *, blind: bool = False) -> Tensor:
    """The means mu (N, D) of images (N, P) in [0, 1] with labels (N,).

    Args:
        blind: give the encoder a zero vector in the label's place.
    """
    c = one_hot(labels, model.classes)
    return model.encode(x, torch.zeros_like(c) if blind else c)[0]


def pca(codes: Mapping[str, Tensor]) -> Points:
    """Each set of codes (N, D) on the first one's two principal components: (N, 2)."""
    from sklearn.decomposition import PCA

    arrays = _arrays(codes)
    projection = PCA(2, svd_solver="full").fit(next(iter(arrays.values())))
    return {name: projection.transform(z) for name, z in arrays.items()}


def umap(codes: Mapping[str, Tensor], seed: int, neighbours: int) -> Points:
    """A UMAP (McInnes et al., arXiv:1802.03426) of the first set of codes (N, D), to which the
    others are added: (N, 2) each.

    It is fitted on the first set alone, so a point that has not moved in R^D lands where its
    original lies, and a move on the page is a move in the space.

    Raises:
        ValueError: the first set has no more points than `neighbours`.
    """
    arrays = _arrays(codes)
    first = next(iter(arrays))
    if not neighbours < len(arrays[first]):
        raise ValueError(
            f"UMAP needs more points than its {neighbours} neighbours, and {first} has "
            f"{len(arrays[first])}: encode more images or ask for fewer neighbours"
        )
    points: Points = {}
    threads = torch.get_num_threads()
    with tqdm(arrays, desc="UMAP", unit="set") as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*n_jobs.*")  # one thread: what a seed costs
        from umap import UMAP

        projection = UMAP(n_neighbors=neighbours, n_epochs=200, random_state=seed, n_jobs=1)
        for name in bar:
            z = arrays[name]
            points[name] = projection.transform(z) if points else projection.fit_transform(z)
    torch.set_num_threads(threads)  # numba has set OpenMP's own number, torch's too
    return points


def tsne(codes: Mapping[str, Tensor], seed: int) -> Points:
    """A t-SNE (van der Maaten & Hinton 2008) of the same images from every set of codes (N, D),
    jointly: (N, 2) each.

    t-SNE places points and learns no map that could be applied to others. Embedded together, the
    sets share one page: an image whose two codes agree is drawn twice in one place.
    """
    from sklearn.manifold import TSNE

    arrays = _arrays(codes)
    joint = np.concatenate(list(arrays.values()))
    steps = 1000  # the default, which scikit-learn before 1.7 only fills in when it runs
    perplexity = min(30, len(joint) / 4)
    method = TSNE(init="pca", random_state=seed, perplexity=perplexity, max_iter=steps, verbose=2)
    bar = tqdm(total=steps, desc="t-SNE", unit="step")
    with bar, redirect_stdout(_Steps(bar)):
        page = method.fit_transform(joint)
    return dict(zip(arrays, np.split(page, len(arrays)), strict=True))


class _Steps(io.TextIOBase):
    """Reads how far scikit-learn has come, which it only prints, and moves a bar there."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self.bar = bar

    def write(self, text: str) -> int:
        if found := re.search(r"Iteration (\d+)", text):
            self.bar.update(int(found[1]) - self.bar.n)
        return len(text)


def subsample(total: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """`count` of `total` indices, sorted: the same for the same seed."""
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


def _arrays(codes: Mapping[str, Tensor]) -> Points:
    return {name: z.cpu().numpy() for name, z in codes.items()}
