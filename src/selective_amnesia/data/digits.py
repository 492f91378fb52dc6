"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels (Alpaydin & Kaynak, 1998), drawn
larger, 28 x 28.

Licence: Creative Commons Attribution 4.0 (UCI Machine Learning Repository). They come with
scikit-learn and need no network: they are what the tests run on.
"""

from __future__ import annotations

from pathlib import Path

import torch

from .dataset import Dataset


def load(folder: Path) -> Dataset:
    """1,500 + 297 images (N, 784), labels 0 to 9. Nothing is kept in the folder."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float().unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    images, labels = large.byte().view(-1, 784), torch.from_numpy(bunch.target).long()
    train, test = (images[:1500], labels[:1500]), (images[1500:], labels[1500:])
    return Dataset("digits", 10, "scikit-learn, upsampled", *train, *test)
