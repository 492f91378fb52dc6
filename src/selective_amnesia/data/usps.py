"""USPS: 9,298 handwritten digits of 16 x 16 pixels (Hull, 1994).

From envelopes, by the United States Postal Service, in the form that LIBSVM publishes. No licence
is named; it is given out for research. Of the two files only MD5s are public, which torchvision
has: that finds damage, and would not stop someone who means harm. The files are read as numbers.
"""

from __future__ import annotations

import bz2
import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor

from .dataset import Dataset
from .fetch import Source, fetch, url

MD5 = {
    "usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197",
    "usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118",
}
ADDRESS = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"


def sources() -> dict[str, Source]:
    """Where the files are."""
    return {"LIBSVM": url(ADDRESS, suffix="")}


def load(folder: Path) -> Dataset:
    """7,291 + 2,007 images (N, 256), labels 0 to 9; in the files they are 1 to 10.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    contents, source = fetch("USPS", folder / "usps", MD5, sources(), _md5)
    train, test = (_read(contents[name]) for name in MD5)
    return Dataset("usps", 10, source, *train, *test)


def _read(content: bytes) -> tuple[Tensor, Tensor]:
    """Images (N, 256) and labels (N,) from lines `label 1:pixel ... 256:pixel`, pixels from -1 to
    1."""
    from sklearn.datasets import load_svmlight_file

    pixels, labels = load_svmlight_file(io.BytesIO(bz2.decompress(content)), n_features=256)
    images = torch.from_numpy(pixels.toarray()).add(1).mul(127.5).round().byte()
    return images, torch.from_numpy(labels).long() - 1


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
