"""What a data set is: uint8 tensors on the device. No loader, no workers: a batch is one
indexing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .. import checks


@dataclass(frozen=True)
class Dataset:
    """Images (N, P) of uint8 and their labels (N,) of int64, for training and for testing.

    Args:
        name: the set's, as its file is called.
        classes: the labels are 0 to classes - 1.
        source: where this copy comes from.

    Raises:
        ValueError: a half is not of that kind.
    """

    name: str
    classes: int
    source: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for half, (images, labels) in {"training": self._half(), "test": self._half(True)}.items():
            kinds = images.dtype == torch.uint8 and labels.dtype == torch.int64
            fits = images.ndim == 2 and len(images) > 0 and labels.shape == images.shape[:1]
            if not (kinds and fits and labels.min() >= 0 and labels.max() < self.classes):
                raise ValueError(
                    f"the {half} half of {self.name} is not a set of images: use images (N, P) of "
                    f"uint8 and labels (N,) of int64, from 0 to {self.classes - 1}"
                )

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

    def __str__(self) -> str:
        n, m = len(self.train_labels), len(self.test_labels)
        return f"{self.name}: {n:,} + {m:,} images ({self.source})"


def pixels(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1]."""
    return images.float() / 255
