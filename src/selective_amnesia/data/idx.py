"""Sets in the form that MNIST was published in: four IDX files, images and labels of two halves.

An IDX file of bytes begins with 0, 0, 8 and the number of its dimensions, then their sizes, four
bytes each, the largest first.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset
from .fetch import gunzip


def read(content: bytes) -> Tensor:
    """The numbers of an IDX file of bytes, or of one that is packed with gzip: uint8, labels (N,)
    or images (N, H, W).

    Raises:
        ValueError: it is no such file, or not all of it.
    """
    try:
        content = gunzip(content) if content[:2] == b"\x1f\x8b" else content
        sizes = struct.unpack_from(f">{content[3]}I", content, 4)
        numbers = np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).copy()
    except (OSError, EOFError, zlib.error, struct.error, IndexError) as error:
        raise ValueError(f"this is no whole IDX file: {error}") from error
    if content[:3] != b"\0\0\x08" or math.prod(sizes) != len(numbers):
        raise ValueError("this is no whole IDX file: its header does not fit what follows it")
    return torch.from_numpy(numbers).view(sizes)


def dataset(name: str, names: Sequence[str], source: str, files: Sequence[bytes]) -> Dataset:
    """A set from its four files: training images and labels, test images and labels.

    Args:
        names: of the classes.
    """
    train_images, train_labels, test_images, test_labels = map(read, files)
    train = train_images.flatten(1), train_labels.long()
    test = test_images.flatten(1), test_labels.long()
    return Dataset(name, len(names), source, *train, *test, names=tuple(names))
