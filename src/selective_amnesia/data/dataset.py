"""What a data set is: uint8 tensors on the device. No loader, no workers: a batch is one
indexing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .. import checks


@dataclass(frozen=True)
class Dataset:
    """Images (N, P) of uint8 and their labels (N,) of int64, for training and for testing.

    Args:
        name: the set's, as its file is called.
        classes: the labels are 0 to classes - 1.
        source: where this copy comes from.
        names: of the classes, as "dress"; by default their labels.

    Raises:
        ValueError: a half is not of that kind, or there are more or fewer names than classes.
    """

    name: str
    classes: int
    source: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(self.names) or tuple(map(str, range(self.classes)))
        object.__setattr__(self, "names", names)
        if len(names) != self.classes:
            raise ValueError(f"{self.name} has {len(names)} names for {self.classes} classes")
        for half, (images, labels) in {"training": self._half(), "test": self._half(True)}.items():
            kinds = images.dtype == torch.uint8 and labels.dtype == torch.int64
            fits = images.ndim == 2 and len(images) > 0 and labels.shape == images.shape[:1]
            square = fits and math.isqrt(images.shape[1]) ** 2 == images.shape[1]
            if not (kinds and square and labels.min() >= 0 and labels.max() < self.classes):
                raise ValueError(
                    f"the {half} half of {self.name} is not a set of images: use square images "
                    "(N, P) of uint8 with one channel, and labels (N,) of int64, from 0 to "
                    f"{self.classes - 1}"
                )

    @classmethod
    def from_arrays(
        cls, name: str, images: ArrayLike, labels: ArrayLike, *, test: float = 1 / 6, seed: int = 0
    ) -> Dataset:
        """A set from all its images and labels; a share of each class, drawn at random, becomes
        the test half.

        Args:
            images: (N, H, H) or (N, P) of uint8, white on black like MNIST's.
            labels: (N,), numbers or words; sorted, they are the names of the classes.
            test: the share.

        Raises:
            ValueError: there are no such images, not as many labels, or a class has less than two.
        """
        x, (names, y) = np.asarray(images), np.unique(np.asarray(labels), return_inverse=True)
        if len(x) != len(y) or not 0 < test < 1:
            raise ValueError(f"{name} has {len(x)} images, {len(y)} labels and {test} for testing")
        if len(few := names[np.bincount(y) < 2]):
            raise ValueError(f"{name} has a single image of {few[0]}: give each class two or more")
        order = np.random.default_rng(seed).permutation(len(y))
        held = [order[y[order] == c] for c in range(len(names))]
        held = [own[: min(len(own) - 1, max(1, round(test * len(own))))] for own in held]
        tested = np.isin(order, np.concatenate(held))
        rows = [torch.from_numpy(order[~tested]), torch.from_numpy(order[tested])]
        pixels, numbers = torch.from_numpy(x.reshape(len(x), -1)), torch.from_numpy(y).long()
        (train_x, train_y), (test_x, test_y) = ((pixels[own], numbers[own]) for own in rows)
        words = tuple(map(str, names))
        return cls(name, len(words), "my own", train_x, train_y, test_x, test_y, words)

    @classmethod
    def from_folder(cls, name: str, folder: Path | str, side: int = 28) -> Dataset:
        """A set from a folder with a sub-folder of image files for each class, read as grey and
        drawn side x side; see `from_arrays`.

        Raises:
            ValueError: there are no two sub-folders with images in them.
        """
        from PIL import Image

        kinds = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
        files = sorted(f for f in Path(folder).glob("*/*") if f.suffix.lower() in kinds)
        if len({file.parent for file in files}) < 2:
            raise ValueError(f"{folder} has no two sub-folders of images: make one for each class")
        images = [np.asarray(Image.open(f).convert("L").resize((side, side))) for f in files]
        return cls.from_arrays(name, np.stack(images), [file.parent.name for file in files])

    def _half(self, test: bool = False) -> tuple[Tensor, Tensor]:
        if test:
            return self.test_images, self.test_labels
        return self.train_images, self.train_labels

    def to(self, device: torch.device | str) -> Dataset:
        """The same set on another device."""
        tensors: dict[str, Any] = {
            k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)
        }
        return replace(self, **tensors)

    def rows_without(self, labels: Iterable[int]) -> Tensor:
        """The rows (N',) of the training half that show none of those labels: what a control
        sees."""
        unseen = self.train_labels.new_tensor(list(labels))
        return torch.isin(self.train_labels, unseen, invert=True).nonzero().squeeze(1)

    def of(self, label: int, count: int | None = None, *, test: bool = False) -> Tensor:
        """Images (N, P) in [0, 1] of one label, all or the first `count`.

        Args:
            test: of the test half, not of the training half.

        Raises:
            ValueError: there is no such label, or the count is below 1.
        """
        checks.label(label, self.classes)
        if count is not None:
            checks.count("count", count)
        images, labels = self._half(test)
        return pixels(images[labels == label][:count])

    def third(self, label: int, part: str, count: int | None = None) -> Tensor:
        """Test images (N, P) in [0, 1] of one label, all or the first `count` of a third of them.

        Args:
            part: "tune", the first third, what settings were chosen on; "search", what an attacker
                may look at; "evaluate", what its result is measured on. These two take turns in
                the rest: MNIST's test images do not lie in random order.

        Raises:
            ValueError: the label has less than three test images.
        """
        images = self.of(label, test=True)
        if not (size := len(images) // 3):
            raise ValueError(
                f"{self.names[label]} has {len(images)} test images: an audit needs three"
            )
        rest = images[size : 3 * size]
        parts = {"tune": images[:size], "search": rest[::2], "evaluate": rest[1::2]}
        return parts[part][:count]

    def __str__(self) -> str:
        n, m = len(self.train_labels), len(self.test_labels)
        return f"{self.name}: {n:,} + {m:,} images ({self.source})"


def pixels(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1]."""
    return images.float() / 255
