"""The panel as an instrument: what it takes images for whose nature is known, and what an attack
brings out of a model and of its control."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import figures
from ..attacks import ATTACKS
from ..checks import forget_set
from ..data.dataset import pixels
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..models.classifiers import side_of
from ..storage.files import write_bytes
from ..training.augment import blends, blobs, strokes
from ..training.random import seeded
from .matrix import cases, run_facts

COUNT = 1000  # images of each kind
SEED = 7

Shares = dict[str, dict[str, float]]


def instrument(lab: Lab) -> Shares:
    """For images of each kind, the share that each member and the panel take for the right class
    (of real and generated digits) or for any class (of what is none: of the kinds that members have
    learned from, made of other images)."""
    found: Shares = {}
    for kind, (images, labels) in _known(lab).items():
        votes, verdict = _asked(lab, images)
        for who, taken in {**votes, "panel": verdict}.items():
            right = taken < lab.data.classes if labels is None else taken == labels
            found.setdefault(kind, {})[who] = float(right.float().mean())
    return found


def recovered(lab: Lab, forget_sets: Iterable[Iterable[int] | str]) -> Shares:
    """For each way of asking an amnesiac and its control for a forgotten label: the single CNN's
    mean probability of it, and the share of images that each member and the panel take for it."""
    found: Shares = {}
    for forget in (forget_set(f, lab.data.classes) for f in forget_sets):
        trio = lab.trio(forget)
        for label in forget:
            for way, title in {LABEL: LABEL, **ATTACKS.titles()}.items():
                for name in ("amnesiac", "control"):
                    seen = lab.measure.verdict(trio[name], label, way)
                    votes, verdict = _asked(lab, lab.measure.images(trio[name], label, way))
                    shares = {w: float((t == label).float().mean()) for w, t in votes.items()}
                    numbers = ", ".join(map(str, forget))
                    found[f"{label} of {{{numbers}}}, {title}, {name}"] = {
                        "single CNN": float(seen.referee.mean()),
                        **shares,
                        "panel": float((verdict == label).float().mean()),
                    }
    return found


def record_panel(lab: Lab, forget_sets: list[str]) -> None:
    """Both tables, printed and written to figures/gallery/panel.json, and beside it what attack A
    recovers, as a picture."""
    tables = {"instrument": instrument(lab), "recovered": recovered(lab, forget_sets)}
    for words, table in tables.items():
        columns = list(next(iter(table.values())))
        print(f"\n{words}, % of images: " + ", ".join(columns))
        for row, shares in table.items():
            print(f"  {row:42}" + "".join(f"{100 * shares[c]:8.1f}" for c in columns))
    folder = lab.store.folder / "figures" / "gallery"
    write_bytes(folder / "panel.json", json.dumps(run_facts(lab) | tables, indent=1).encode())
    write_bytes(folder / "panel_recovered.png", figures.render(_pictures(lab, forget_sets))[1])
    print(f"\nwritten to {folder}: panel.json, panel_recovered.png")


def _pictures(lab: Lab, forget_sets: list[str]) -> Figure:
    each = cases(forget_sets, lab.data.classes)
    found = {
        name: torch.stack(
            [lab.measure.images(lab.trio(f)[name], label, "robust")[:6] for label, f in each]
        )
        for name in ("amnesiac", "control")
    }
    words = [f"{label} of {{{', '.join(map(str, f))}}}" for label, f in each]
    return figures.grids(found, words, title="What attack A recovers: the first of its fresh codes")


def _asked(lab: Lab, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What each member by name, and the panel, take images (N, P) for: (N,) each."""
    panel = lab.measure.panel
    votes = panel.votes(images)
    return dict(zip(panel.members, votes, strict=True)), panel.verdict(votes)


def _known(lab: Lab) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Images (N, P) of each kind and their labels (N,), or None where they show no class."""
    data = lab.data
    x, y = pixels(data.test_images[: 2 * COUNT]), data.test_labels[: 2 * COUNT]
    samples = lab.measure.samples(lab.cvae(), COUNT // data.classes)
    asked = torch.arange(data.classes, device=lab.device)
    each = asked.repeat_interleave(samples.shape[1])
    with seeded(SEED, lab.device):
        half = torch.full((len(x), 1), 0.5, device=lab.device)
        return {
            "real test images": (x, y),
            "samples of the original": (samples.flatten(0, 1), each),
            "noise": (torch.rand_like(x), None),
            "grey": (torch.rand_like(x[:, :1]).expand_as(x), None),
            "blank": (torch.zeros_like(x[:1]), None),
            "blobs": (blobs(COUNT, side_of(x), lab.device), None),
            "strokes": (strokes(x[:COUNT]), None),
            "blends": (blends(x, y, half)[:COUNT], None),
        }
