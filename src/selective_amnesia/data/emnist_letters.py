"""EMNIST, letters: 145,600 handwritten letters of 28 x 28 pixels, 26 classes (Cohen et al., 2017).

Capital and small letters are one class. Where it is from, and its licence: see `emnist`.
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase

from . import emnist
from .dataset import Dataset


def load(folder: Path) -> Dataset:
    """124,800 + 20,800 images (N, 784), labels 0 to 25; in the files they are 1 to 26.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    return emnist.split("letters", ascii_uppercase, folder, first=1)
