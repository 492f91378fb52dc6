"""The radius of amnesia: how far a label can be left before nothing is left to see.

From label a towards label b it is how far alpha can go, from 0, on the straight path between their
conditions (`interpolation.label_path`), before the panel takes the image for none of the classes;
1 is all the way.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from ..models.cvae import OneHotCVAE
from .interpolation import decode_path, label_path

VERSION = 2
Shows = Callable[[Tensor], Tensor]


def radius(model: OneHotCVAE, shows: Shows, start: int, end: int, z: Tensor, steps: int) -> Tensor:
    """The radius of amnesia from `start` towards `end` for each of N codes z (N, D): (N,).

    The code stays, the condition moves; `steps` + 1 images a path, so a radius is a multiple of
    1 / steps. It is 0 where already the first image shows none of the classes.

    Args:
        shows: images (..., P) to what they show (...,); the number of classes stands for none.
    """
    c = label_path(start, end, torch.linspace(0, 1, steps + 1), model.classes)
    images = decode_path(model, z, c.unsqueeze(1))
    shows_one = shows(images) < model.classes  # (steps + 1, N)
    reached = shows_one.long().cumprod(0).sum(0)  # images before the first that shows none
    return (reached - 1).clamp(min=0) / steps


def radius_map(model: OneHotCVAE, shows: Shows, z: Tensor, steps: int, description: str) -> Tensor:
    """The radii (classes, classes, N) from each label towards each other for N codes z (N, D); the
    diagonal is not a number.

    Args:
        shows: as in `radius`.
        description: what the progress bar says.
    """
    n = model.classes
    table = z.new_full((n, n, len(z)), torch.nan)
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    for a, b in tqdm(pairs, desc=description, unit="pair", mininterval=1):
        table[a, b] = radius(model, shows, a, b, z, steps)
    return table
