"""The panel attacked, to test it as an instrument: images found by searching against one member.

With all of a member's slopes in hand, Adam raises its score of a label until it takes the image for
it: in pixels, from images that show nothing, and through the decoder of a control that never saw
the label, in code and condition. The search knows nothing of the other members. What counts is how
many of the images that fool one member the panel takes as well. Nothing learns from these images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..lab.lab import Lab
from ..models.classifiers import side_of
from ..referees.panel import Member, least_scores
from ..training.augment import blobs, strokes
from ..training.random import seeded

EACH = 125  # images sought against each member, in each way
STEPS, RATE = 150, 0.03
AHEAD = 0.5  # of the way from the threshold to a usual score: where the search stops raising it
SEED = 11


def red_team(
    lab: Lab, real: Tensor, shown: Tensor, forget: tuple[int, ...] = (0, 1)
) -> tuple[dict[str, dict[str, float]], Tensor]:
    """Attack every member, in both ways.

    Args:
        real: real images (M, P), parts of whose strokes the search begins from, and whose scores
            are the usual ones.
        shown: their labels (M,).
        forget: what the control has never seen.

    Returns:
        For each member and way "found", how many of `EACH` images it takes for the label that was
        sought, and of these the "share" that the panel takes for it too, "all" of them together;
        and those images (N, P) that the panel takes.
    """
    control = lab.control(forget)
    found: dict[str, dict[str, float]] = {}
    votes: list[Tensor] = []
    pictures: list[Tensor] = []
    jobs = [(name, way) for name in lab.panel.members for way in ("pixels", "control's decoder")]
    for name, way in tqdm(jobs, desc="red team", unit="search"):
        member = lab.panel.members[name]()
        with torch.no_grad():
            usual = least_scores(member.scores, [(real, shown)], lab.data.classes, 0.5)
        enough = member.least + AHEAD * (usual - member.least)
        with seeded(SEED, lab.device):
            if way == "pixels":
                labels = torch.arange(EACH, device=lab.device) % lab.data.classes
                images = _in_pixels(real[:EACH], member, labels, enough[labels])
            else:
                labels = torch.tensor(forget, device=lab.device).repeat(EACH)[:EACH]
                images = _through(control, member, labels, enough[labels])
        taken = member.takes(images) == labels
        by_panel = lab.panel.shows(images[taken]) == labels[taken]
        found[f"{name}, {way}"] = _counted(by_panel)
        votes.append(by_panel)
        pictures.append(images[taken][by_panel])
    found["all"] = _counted(torch.cat(votes))
    return found, torch.cat(pictures)


def _counted(by_panel: Tensor) -> dict[str, float]:
    """How many images were found, and the share of them that the panel takes (bool)."""
    return {"found": len(by_panel), "share": float(by_panel.sum()) / max(1, len(by_panel))}


def _in_pixels(real: Tensor, member: Member, labels: Tensor, enough: Tensor) -> Tensor:
    """Images (N, P) that begin as blobs, parts of strokes of real ones (N, P), and grey noise."""
    third = len(real) // 3
    noise = 0.3 * torch.rand_like(real[2 * third :])
    begun = torch.cat([blobs(third, side_of(real), real.device), strokes(real[:third]), noise])
    pixels = begun.clamp(0.02, 0.98).logit().requires_grad_()
    return _search([pixels], lambda: pixels.sigmoid(), member, labels, enough, 10 * RATE)


def _through(control: Any, member: Member, labels: Tensor, enough: Tensor) -> Tensor:
    """Images (N, P) that the control decodes, from codes drawn and the conditions of labels that it
    knows."""
    kept = [k for k in range(control.classes) if k not in labels.unique().tolist()]
    start = torch.tensor(kept, device=labels.device).repeat(len(labels))[: len(labels)]
    c = torch.eye(control.classes, device=labels.device)[start].requires_grad_()
    z = torch.randn(len(labels), control.z_dim, device=labels.device).requires_grad_()
    return _search([z, c], lambda: control.decode(z, c), member, labels, enough, RATE)


def _search(
    sought: list[Tensor],
    image: Callable[[], Tensor],
    member: Member,
    labels: Tensor,
    enough: Tensor,
    rate: float,
) -> Tensor:
    """What Adam on `sought` makes of the images that they stand for, until the member's scores of
    `labels` (N,) are `enough` (N,)."""
    optimiser = torch.optim.Adam(sought, lr=rate)
    for _ in range(STEPS):
        scores = member.scores(image()).gather(1, labels[:, None])[:, 0]
        missing = (enough - scores).clamp(min=0)
        optimiser.zero_grad(set_to_none=True)
        missing[missing.isfinite()].sum().backward(inputs=sought)
        optimiser.step()
    return image().detach()
