r"""Neighbours: the nearest real images, where a small deformation costs nothing.

The distance of an image x from a real one p is the smallest over what x becomes when it is moved,
scaled, turned, sheared or made thicker by a little (tangent distance, Simard et al., NIPS 1992),
one-sided, from the tangent vectors T at x:

    d(x, p)^2 = min_a |x + T a - p|^2 = |x - p|^2 - |Q^T (x - p)|^2,     T = Q R

It is measured from the `candidates` that are nearest by their oriented gradients (`margins.hog`).
The score of a class is -d(x, p)^2 for the nearest of its images, all of length 1: brightness does
not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Config
from ..models.classifiers import side_of
from ..training.augment import smooth
from .margins import hog
from .task import MemberTask, Scorer, Tensors

VERSION = 3
GATED = True  # its scores are distances: how far is too far, real images say
SOME = 8000  # images that the axes are found from
RIDGE = 1e-3  # of the tangents' lengths, so that a flat image has none


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Real `images` to look among, by `axes` of their features, and how many of them are looked at
    closely."""

    images: int = 50_000
    axes: int = 64
    candidates: int = 24


def fit(task: MemberTask) -> Tensors:
    """The images themselves, in bytes, and their features; those of nothing are a class after the
    last."""
    settings: Settings = task.settings
    images = torch.cat([task.images[: settings.images], task.none])
    labels = task.labels[: settings.images]
    features = torch.cat([hog(part) for part in images.split(1000)])
    mean = features.mean(0)
    axes = torch.linalg.svd(features[-SOME:] - mean, full_matrices=False).Vh[: settings.axes].T
    return {
        "mean": mean,
        "axes": axes.contiguous(),
        "features": (features - mean) @ axes,
        "images": (images * 255).round().byte(),
        "labels": torch.cat([labels, labels.new_full((len(task.none),), task.classes)]),
        "candidates": torch.tensor(settings.candidates),
        "classes": torch.tensor(task.classes),
    }


def scorer(learned: Tensors) -> Scorer:
    """Images (N, P) to scores (N, classes): -inf where no candidate is of the class, or an image of
    nothing is nearer than any of it."""
    parts = learned["images"].split(1000)  # of a size that stays in a processor's cache
    real = torch.cat([F.normalize(smooth(part.float() / 255), dim=1) for part in parts])
    labels, classes = learned["labels"], int(learned["classes"])
    features, length = learned["features"], learned["features"].square().sum(1)

    def scores(x: Tensor) -> Tensor:
        own = (hog(x) - learned["mean"]) @ learned["axes"]
        distance = length - 2 * own @ features.T  # and |own|^2, which is the same for all
        near = distance.topk(int(learned["candidates"]), 1, largest=False).indices  # (N, K)
        x = F.normalize(smooth(x), dim=1)
        apart = x[:, None] - real[near]  # (N, K, P)
        distance = apart.square().sum(-1) - (apart @ tangents(x.detach())).square().sum(-1)
        found = x.new_full((len(x), classes + 1), -torch.inf)
        found = found.scatter_reduce(1, labels[near], -distance, "amax")
        beaten = found[:, :-1] <= found[:, -1:]
        return torch.where(beaten, -torch.inf, found[:, :-1])

    return scores


def tangents(x: Tensor) -> Tensor:
    """An orthonormal basis (N, P, 7) of how images (N, P) change when they are moved (2), scaled,
    turned, stretched along the axes and along the diagonals, or made thicker."""
    side = side_of(x)
    down, across = torch.gradient(x.view(-1, side, side), dim=(1, 2))
    at = torch.linspace(-1, 1, side, device=x.device)
    v, h = at[:, None], at[None, :]
    fields = (
        across,
        down,
        h * across + v * down,
        v * across - h * down,
        h * across - v * down,
        v * across + h * down,
        across.square() + down.square(),
    )
    t = torch.stack([field.flatten(1) for field in fields], -1)
    gram = t.mT @ t
    values, vectors = torch.linalg.eigh(gram)
    kept = values > RIDGE * values[:, -1:].clamp(min=1e-6)
    scale = torch.where(kept, values.clamp(min=1e-12).rsqrt(), 0)
    basis: Tensor = t @ (vectors * scale[:, None])
    return basis
