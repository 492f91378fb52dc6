"""Erasure: where a model stands between one that knows a label and one that never saw it.

    erasure  =  (L_model - L_original) / (L_control - L_original)

with L the mean true nats of real images of the label (`likelihood`). 0 is untouched, 1 is as if it
had never been seen, above 1 is more ignorant than that, which is a tell as well.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .statistics import paired_interval


def erasure(model: Any, original: Any, control: Any) -> Any:
    """Where a model's mean nats lie between the original's (0) and the control's (1); numbers or
    arrays. Not a number where the control needs no more than the original: then there was nothing
    to erase."""
    worth = control - original
    known = torch.as_tensor(worth) > 0
    share = torch.as_tensor(model - original) / torch.where(
        known, torch.as_tensor(worth), torch.nan
    )
    return float(share) if share.ndim == 0 else share.numpy()


def erasure_with_interval(
    model: Tensor, original: Tensor, control: Tensor, seed: int = 0
) -> tuple[float, float, float]:
    """The erasure of nats (N,) each, and its 95 % bootstrap interval over the test images, the same
    for all three."""

    def of_means(m: Any, o: Any, c: Any, axis: int = -1) -> Any:
        return erasure(m.mean(axis), o.mean(axis), c.mean(axis))

    value = erasure(*(nats.mean() for nats in (model, original, control)))
    return value, *paired_interval([model, original, control], of_means, seed)
