r"""Paths through the condition c and the code z, and the images along them.

A path for the condition is a straight line from one label's one-hot vector to another's,

    c(alpha) = (1 - alpha) e_a + alpha e_b,                      alpha in [0, 1],

and one for the code follows the great circle between two codes (slerp; Shoemake 1985). A standard
normal code of D numbers lies near the sphere of radius sqrt(D); the chord between two of them cuts
through a region the decoder has rarely seen, the arc does not. With u, v the codes' directions,
omega the angle between them and w the part of v orthogonal to u, scaled to length one,

    z(t) = ((1 - t) |z_a| + t |z_b|) (cos(t omega) u + sin(t omega) w),       t in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .. import checks
from ..models.classifiers import probabilities
from ..models.cvae import OneHotCVAE, one_hot


def label_path(
    start: int, end: int, alpha: Tensor | Sequence[float] | float, classes: int = 10
) -> Tensor:
    """Conditions (T, classes) from label `start` (alpha = 0) to label `end` (alpha = 1).

    Raises:
        ValueError: an end is no label, both are the same, or alpha lies outside [0, 1].
    """
    for label in (start, end):
        checks.label(label, classes)
    if start == end:
        raise ValueError(f"both ends of the path are {start}: choose two different labels")
    alpha = _fractions(alpha, "alpha").unsqueeze(-1)
    a, b = one_hot([start, end], classes).double()
    conditions: Tensor = (1 - alpha) * a + alpha * b
    return conditions.float()


def label_walk(labels: Sequence[int], steps: int, classes: int = 10) -> Tensor:
    """Conditions (steps * (len(labels) - 1) + 1, classes) from each label straight to the next.

    `label_walk([a, f, b, a], steps)` walks round a triangle through f.

    Raises:
        ValueError: there are not two labels or more, or two neighbours are no ends of a path.
    """
    if len(labels) < 2:
        raise ValueError(f"a walk through {labels!r} goes nowhere: name at least two labels")
    alpha = torch.linspace(0, 1, steps + 1)
    return _joined([label_path(a, b, alpha, classes) for a, b in pairwise(labels)])


def slerp(a: Tensor, b: Tensor, t: Tensor | Sequence[float] | float) -> Tensor:
    """Points (T, ..., D) on the great circle from a to b, both (..., D); lengths change linearly.

    Exact at t = 0 and t = 1. Between parallel codes it is a straight line; between opposite ones,
    where every great circle is as short, it is one of them; from or to the origin, which has no
    direction, the other code's direction is kept.

    Raises:
        ValueError: t lies outside [0, 1].
    """
    shape: torch.Size = torch.broadcast_shapes(a.shape, b.shape)
    t = _fractions(t, "t").to(a.device).view(-1, *[1] * len(shape))
    p, q = a.double().expand(shape), b.double().expand(shape)
    length_p, length_q = p.norm(dim=-1, keepdim=True), q.norm(dim=-1, keepdim=True)
    u, v = p / length_p.clamp(min=1e-300), q / length_q.clamp(min=1e-300)
    u, v = torch.where(length_p > 0, u, v), torch.where(length_q > 0, v, u)
    cosine = (u * v).sum(-1, keepdim=True)
    aside = v - cosine * u
    sine = aside.norm(dim=-1, keepdim=True)
    # Opposite codes leave nothing beside u: go by way of the axis that u is farthest from.
    axis = torch.nn.functional.one_hot(u.abs().argmin(-1), shape[-1]).double()
    way = torch.where(sine > 1e-9, aside, axis - (axis * u).sum(-1, keepdim=True) * u)
    omega = torch.atan2(sine, cosine)
    arc = (t * omega).cos() * u + (t * omega).sin() * normalize(way, dim=-1)
    z = ((1 - t) * length_p + t * length_q) * arc
    return torch.where(t == 0, p, torch.where(t == 1, q, z)).to(a.dtype)


def code_walk(stations: Tensor, steps: int) -> Tensor:
    """Codes (steps * (S - 1) + 1, D) along the great circles from each of S stations (S, D) to
    the next."""
    t = torch.linspace(0, 1, steps + 1)
    return _joined([slerp(a, b, t) for a, b in pairwise(stations)])


def patchwork(corners: Tensor, steps: int) -> Tensor:
    """Codes (steps, steps, D) between four corners (4, D): top left, top right, bottom left and
    bottom right, along great circles first across and then down."""
    t = torch.linspace(0, 1, steps)
    top, bottom = slerp(corners[0], corners[1], t), slerp(corners[2], corners[3], t)
    return slerp(top, bottom, t)


@torch.no_grad()
def decode_path(model: OneHotCVAE, z: Tensor, c: Tensor) -> Tensor:
    """The model's images along a path: (..., P) for codes (..., D) and conditions (..., C),
    broadcast against each other."""
    device = next(model.parameters()).device
    sizes = z.shape[:-1], c.shape[:-1]
    shape: torch.Size = torch.broadcast_shapes(*sizes)
    z, c = (t.to(device).expand(*shape, -1).reshape(-1, t.shape[-1]) for t in (z, c))
    return model.decode(z, c).reshape(*shape, -1)


def decode_paths(
    models: Mapping[str, OneHotCVAE], classifier: nn.Module, z: Tensor, c: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The images (..., P) of several models along one path, and the classifier's probabilities
    (..., K) for each of them."""
    images = {name: decode_path(model, z, c) for name, model in models.items()}
    return images, {name: probabilities(classifier, each) for name, each in images.items()}


def _fractions(values: Tensor | Sequence[float] | float, name: str) -> Tensor:
    """`values` as a vector (T,) of numbers from 0 to 1."""
    fractions = torch.as_tensor(values, dtype=torch.float64).reshape(-1)
    outside = fractions[~((fractions >= 0) & (fractions <= 1))]
    if len(outside):
        raise ValueError(f"{name} is {outside[0].item():g}: use a number from 0 to 1")
    return fractions


def _joined(legs: Sequence[Tensor]) -> Tensor:
    """One walk of several legs; where one ends and the next begins is one station, not two."""
    return torch.cat([leg[:-1] for leg in legs] + [legs[-1][-1:]])
