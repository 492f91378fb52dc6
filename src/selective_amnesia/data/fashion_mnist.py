"""Fashion-MNIST: 70,000 photographs of clothes, 28 x 28 pixels (Xiao, Rasul & Vollgraf, 2017).

From Zalando's articles; arXiv:1708.07747. Licence: MIT. The four IDX files come from torchvision's
mirrors or, where those cannot be reached, from Debian's package `dataset-fashion-mnist`.
"""

from __future__ import annotations

from pathlib import Path

from . import idx
from .dataset import Dataset
from .fetch import Source, apt, fetch, url

NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat",
         "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
PACKAGE = "dataset-fashion-mnist"


def sources() -> dict[str, Source]:
    """Where the files are."""
    from torchvision.datasets import FashionMNIST

    mirrors = {mirror: url(mirror) for mirror in FashionMNIST.mirrors}
    return mirrors | {f"Debian package {PACKAGE}": apt(PACKAGE, "usr/share/datasets/fashion-mnist")}


def load(folder: Path) -> Dataset:
    """60,000 + 10,000 images (N, 784), labels 0 to 9.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    contents, source = fetch("Fashion-MNIST", folder / "fashion_mnist", FILES, sources())
    return idx.dataset("fashion_mnist", NAMES, source, [contents[name] for name in FILES])
