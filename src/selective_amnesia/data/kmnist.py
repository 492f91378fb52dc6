"""KMNIST: 70,000 cursive Japanese characters of 28 x 28 pixels (Clanuwat et al., 2018).

From books of the Edo period; arXiv:1812.01718. Licence: Creative Commons Attribution-ShareAlike
4.0 (CODH). The four IDX files come from the Center for Open Data in the Humanities, which
torchvision names too, and are kept as they are published, packed.
"""

from __future__ import annotations

from pathlib import Path

from . import idx
from .dataset import Dataset
from .fetch import Source, fetch, url

NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
FILES = {  # of the packed files, as TensorFlow Datasets has them
    "train-images-idx3-ubyte.gz":
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "train-labels-idx1-ubyte.gz":
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "t10k-images-idx3-ubyte.gz":
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "t10k-labels-idx1-ubyte.gz":
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
}  # fmt: skip


def sources() -> dict[str, Source]:
    """Where the files are."""
    from torchvision.datasets import KMNIST

    return {mirror: url(mirror, suffix="") for mirror in KMNIST.mirrors}


def load(folder: Path) -> Dataset:
    """60,000 + 10,000 images (N, 784), labels 0 to 9.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    contents, source = fetch("KMNIST", folder / "kmnist", FILES, sources())
    return idx.dataset("kmnist", NAMES, source, [contents[name] for name in FILES])
