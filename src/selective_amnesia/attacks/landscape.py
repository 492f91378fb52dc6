"""What classifiers say around an attack's result: probabilities on a plane of conditions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.classifiers import probabilities
from ..models.cvae import Decoder
from ..referees.panel import Panel
from .search import Recovered


@dataclass(frozen=True)
class Landscape:
    """Mean probabilities (S, S) of the label on a plane of conditions (see `landscape`)."""

    judge: Tensor
    panel: Tensor  # the share of images that it takes for the label
    extent: tuple[float, float, float, float]  # x from, to, y from, to
    corners: list[tuple[float, float]]  # what was found, the start, the plain label


@torch.no_grad()
def landscape(
    model: Decoder,
    judge: nn.Module,
    panel: Panel,
    found: Recovered,
    label: int,
    side: int = 25,
) -> Landscape:
    """What judge and panel say around an attack's result, on the plane through it, the one-hot
    vector that the search began from, and the label's own.

    The plane is measured from what was found, x towards the start. Each point is decoded with all
    codes of the attack.

    Raises:
        ValueError: the three lie on one line.
    """
    one_hots = torch.eye(model.classes, device=found.c.device)
    centre = found.c[0]
    to_start, to_label = one_hots[found.start] - centre, one_hots[label] - centre
    u = to_start / to_start.norm()
    v = to_label - (to_label @ u) * u
    if not v.norm() > 1e-5:
        what = f"what was found, its start {found.start} and {label} lie on one line"
        raise ValueError(f"{what}: use a label beside it")
    v = v / v.norm()
    points = [(0.0, 0.0), *((float(d @ u), float(d @ v)) for d in (to_start, to_label))]
    low = (torch.tensor(points).amin(0) - 1).tolist()
    high = (torch.tensor(points).amax(0) + 1).tolist()
    x, y = (torch.linspace(a, b, side, device=u.device) for a, b in zip(low, high, strict=True))
    c = centre + x[None, :, None] * u + y[:, None, None] * v
    codes = len(found.z)
    p = []
    for row in c:  # a row at a time: side * codes images
        images = model.decode(found.z.repeat(side, 1), row.repeat_interleave(codes, 0))
        seen = probabilities(judge, images)[:, label], panel.shows(images).eq(label).float()
        p.append(torch.stack([values.view(side, codes).mean(1) for values in seen]))
    by_judge, by_panel = torch.stack(p, 1).cpu()
    return Landscape(by_judge, by_panel, (low[0], high[0], low[1], high[1]), points)
