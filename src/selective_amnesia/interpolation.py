r"""Paths through the condition c and the code z, and how far they lead before no digit is left.

A path for the condition is a straight line from one digit's one-hot vector to another's,

    c(alpha) = (1 - alpha) e_a + alpha e_b,                      alpha in [0, 1],

and one for the code follows the great circle between two codes (slerp). A standard normal code
of D numbers lies near the sphere of radius sqrt(D); the chord between two of them cuts through a
region the decoder has rarely seen, the arc does not. With u, v the codes' directions, omega the
angle between them and w the part of v orthogonal to u, scaled to length one,

    z(t) = ((1 - t) |z_a| + t |z_b|) (cos(t omega) u + sin(t omega) w),       t in [0, 1].

The *radius of amnesia* from digit a towards digit b is how far alpha can go, from 0, before the
referee takes the picture for no digit (more than half of its probability); 1 is all the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from .config import count, digit
from .evaluation import probabilities
from .models import OneHotCVAE, Referee, check_rows, one_hot

__all__ = [
    "code_walk",
    "film",
    "label_path",
    "label_walk",
    "patchwork",
    "radius",
    "radius_map",
    "screening",
    "slerp",
]


def _fractions(values: Tensor | Sequence[float] | float, name: str) -> Tensor:
    """`values` as a vector (T,) of numbers from 0 to 1."""
    try:
        fractions = torch.as_tensor(values, dtype=torch.float64).reshape(-1)
    except RuntimeError as error:
        raise TypeError(f"{name} is {values!r}: use numbers from 0 to 1") from error
    outside = fractions[~((fractions >= 0) & (fractions <= 1))]
    if len(outside):
        raise ValueError(f"{name} is {outside[0].item():g}: use a number from 0 to 1")
    return fractions


def _size(rows: Tensor) -> int:
    """D of rows (..., D); a single number is no row."""
    return rows.shape[-1] if rows.ndim else 0


def _together(*shapes: torch.Size) -> torch.Size:
    """The shape that tensors of those shapes have together."""
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError as error:
        listed = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"{listed} do not fit together: give as many of each") from error


def label_path(
    start: int, end: int, alpha: Tensor | Sequence[float] | float, classes: int = 10
) -> Tensor:
    """Conditions (T, classes) from digit `start` (alpha = 0) to digit `end` (alpha = 1).

    Raises:
        ValueError: an end is no digit, both are the same, or alpha lies outside [0, 1].
    """
    for label in (start, end):
        digit(label, classes)
    if start == end:
        raise ValueError(f"both ends of the path are {start}: choose two different digits")
    alpha = _fractions(alpha, "alpha").unsqueeze(-1)
    a, b = one_hot([start, end], classes).double()
    return ((1 - alpha) * a + alpha * b).float()


def label_walk(digits: Sequence[int], steps: int, classes: int = 10) -> Tensor:
    """Conditions (steps * (len(digits) - 1) + 1, classes) from each digit straight to the next.

    `label_walk([a, f, b, a], steps)` walks round a triangle through f.
    """
    if len(digits) < 2:
        raise ValueError(f"a walk through {digits!r} goes nowhere: name at least two digits")
    alpha = torch.linspace(0, 1, count("steps", steps) + 1)
    return _joined([label_path(a, b, alpha, classes) for a, b in pairwise(digits)])


def _joined(legs: Sequence[Tensor]) -> Tensor:
    """One walk of several legs; where one ends and the next begins is one station, not two."""
    return torch.cat([leg[:-1] for leg in legs] + [legs[-1][-1:]])


def slerp(a: Tensor, b: Tensor, t: Tensor | Sequence[float] | float) -> Tensor:
    """Points (T, ..., D) on the great circle from a to b, both (..., D); lengths change linearly.

    Exact at t = 0 and t = 1. Between parallel codes it is a straight line; between opposite ones,
    where every great circle is as short, it is one of them; from or to the origin, which has no
    direction, the other code's direction is kept.

    Raises:
        ValueError: the codes differ in size, or t lies outside [0, 1].
    """
    if not _size(a) or _size(a) != _size(b):
        raise ValueError(f"the codes hold {_size(a)} and {_size(b)} numbers: use one size")
    shape = _together(a.shape, b.shape)
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
    check_rows("stations", stations, 2)
    t = torch.linspace(0, 1, count("steps", steps) + 1)
    return _joined([slerp(a, b, t) for a, b in pairwise(stations)])


def patchwork(corners: Tensor, steps: int) -> Tensor:
    """Codes (steps, steps, D) between four corners (4, D): top left, top right, bottom left and
    bottom right, along great circles first across and then down."""
    if len(check_rows("corners", corners, 4)) > 4:
        raise ValueError(f"there are {len(corners)} corners: give four")
    t = torch.linspace(0, 1, count("steps", steps))
    top, bottom = slerp(corners[0], corners[1], t), slerp(corners[2], corners[3], t)
    return slerp(top, bottom, t)


@torch.no_grad()
def film(model: OneHotCVAE, z: Tensor, c: Tensor) -> Tensor:
    """What the model paints along a path: (..., P) for codes (..., D) and conditions (..., C),
    broadcast against each other.

    Raises:
        ValueError: the codes or conditions are not of the model's size.
    """
    if _size(z) != model.z_dim:
        raise ValueError(
            f"the codes hold {_size(z)} numbers and the model's {model.z_dim}: "
            "make them with the model's z_dim"
        )
    if _size(c) != model.classes:
        raise ValueError(
            f"the conditions hold {_size(c)} numbers: use {model.classes}, one a class"
        )
    device = next(model.parameters()).device
    shape = _together(z.shape[:-1], c.shape[:-1])
    z, c = (t.to(device).expand(*shape, -1).reshape(-1, t.shape[-1]) for t in (z, c))
    return model.decode(z, c).unflatten(0, shape) if shape else model.decode(z, c)[0]


def screening(
    models: Mapping[str, OneHotCVAE], referee: Referee, z: Tensor, c: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The films (..., P) of several models along one path, and the referee's probabilities
    (..., classes + 1) for every frame."""
    if not models:
        raise ValueError("there are no models to film: give at least one")
    films = {name: film(model, z, c) for name, model in models.items()}
    return films, {name: probabilities(referee, images) for name, images in films.items()}


def radius(
    model: OneHotCVAE, referee: Referee, start: int, end: int, z: Tensor, steps: int
) -> Tensor:
    """The radius of amnesia from `start` towards `end` for each of N codes z (N, D): (N,).

    The code stays, the condition moves; `steps` + 1 pictures a path, so a radius is a multiple of
    1 / steps. It is 0 where already the first picture is no digit.
    """
    c = label_path(start, end, torch.linspace(0, 1, count("steps", steps) + 1), model.classes)
    verdicts = probabilities(referee, film(model, z, c.unsqueeze(1)))  # (steps + 1, N, classes + 1)
    is_digit = verdicts[..., referee.not_a_digit] < 0.5
    reached = is_digit.long().cumprod(0).sum(0)  # pictures before the first that is none
    return (reached - 1).clamp(min=0) / steps


def radius_map(model: OneHotCVAE, referee: Referee, z: Tensor, steps: int, label: str) -> Tensor:
    """The radii (classes, classes, N) from each digit towards each other for N codes z (N, D); the
    diagonal is not a number. `label` is what the progress bar says."""
    check_rows("codes", z)
    n = model.classes
    table = z.new_full((n, n, len(z)), torch.nan)
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    for a, b in tqdm(pairs, desc=label, unit="pair", mininterval=1):
        table[a, b] = radius(model, referee, a, b, z, steps)
    return table
