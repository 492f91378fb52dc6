"""EMNIST, balanced: 131,600 handwritten digits and letters of 28 x 28 pixels, 47 classes (Cohen et
al., 2017).

Small letters are a class of their own where they look unlike the capital. Where it is from, and
its licence: see `emnist`.
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase, digits

from . import emnist
from .dataset import Dataset

NAMES = digits + ascii_uppercase + "abdefghnqrt"


def load(folder: Path) -> Dataset:
    """112,800 + 18,800 images (N, 784), labels 0 to 46.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    return emnist.split("balanced", NAMES, folder)
