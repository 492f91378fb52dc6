"""The panel as an instrument: what it takes images for that are known, or were looked at by eye."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import figures
from ..data.dataset import pixels
from ..lab.lab import Lab
from ..models.classifiers import side_of
from ..storage.files import write_bytes
from ..storage.stage import Tensors
from ..training.augment import blends, blobs, strokes, textures
from ..training.random import seeded
from .matrix import run_facts
from .red_team import red_team

VERSION = 1  # of what `instrument` keeps
COUNT = 1000  # images of each kind
KINDS = (
    *("real test images", "samples of the original"),  # of classes
    *("noise", "grey", "blank", "blobs", "strokes", "textures", "blends"),  # of none
)
SEED = 7
ROW = 12  # pictures side by side
EYES, SIDE = Path(__file__).parent / "eyes", 28
LOOKED_AT = {"labelled by eye": "first", "by eye, later": "second"}  # in tables -> files
DIGITS = ("mnist", "digits")  # the sets whose classes the eyes have labelled

Shares = dict[str, dict[str, float]]


def instrument(lab: Lab) -> Shares:
    """For images of each kind, the share that each member and the panel take for the right class
    (of real and generated digits) or for any class (of what is none: of the kinds that members have
    learned from, made of other images). Kept."""
    panel, classes = lab.panel, lab.data.classes
    who = [*panel.members, "panel"]

    def make() -> Tensors:
        found = {}
        for kind, (images, labels) in known_images(lab).items():
            taken = torch.stack(list(_asked(lab, images).values()))  # (who, N)
            right = taken < classes if labels is None else taken == labels
            found[kind] = right.float().mean(1).cpu()
        return found

    shaped_by = {"panel": panel.facts["name"], "original": lab.cvae().facts["name"]}
    kept = lab._maker.measured("instrument", VERSION, shaped_by, make)
    return {kind: dict(zip(who, kept[kind].tolist(), strict=True)) for kind in KINDS}


def by_eye(lab: Lab) -> tuple[Shares, dict[str, dict[str, int]]]:
    """How members and panel compare with eyes, on images that were looked at and labelled as
    pictures (`eyes/README.md`), in each set of them.

    Returns:
        The share that each member and the panel take for what eyes did; and of images that attacks
        found, how many eyes and panel take for the digit that was sought, by model.
    """
    shares: Shares = {}
    attacks: dict[str, dict[str, int]] = {}
    for words, name in LOOKED_AT.items():
        images, labels, sources = read_eyes(lab, name)
        answers = _asked(lab, images)
        for who, taken in answers.items():
            shares.setdefault(words, {})[who] = float(taken.eq(labels).float().mean())
        for who in ("amnesiac", "control"):
            rows = [i for i, s in enumerate(sources) if s.startswith(who) and "attack" in s]
            sought = torch.tensor([int(sources[i].split()[-1]) for i in rows], device=lab.device)
            attacks[f"{words}: {who}s"] = {
                "images": len(rows),
                "eyes": int(labels[rows].eq(sought).sum()),
                "panel": int(answers["panel"][rows].eq(sought).sum()),
            }
    return shares, attacks


def read_eyes(lab: Lab, name: str) -> tuple[Tensor, Tensor, list[str]]:
    """The images (N, P) in [0, 1] of a set that was labelled by eye, their settled labels (N,), in
    which the number of classes stands for none of them, and where they are from."""
    from PIL import Image

    page = np.asarray(Image.open(EYES / f"{name}.png").convert("L"))
    tall, wide = (length // SIDE for length in page.shape)
    each = page.reshape(tall, SIDE, wide, SIDE).swapaxes(1, 2).reshape(-1, SIDE**2)
    with (EYES / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    none = lab.data.classes
    labels = [none if row["settled"] == "none" else int(row["settled"]) for row in rows]
    images = pixels(torch.from_numpy(each[: len(labels)].copy()).to(lab.device))
    return images, torch.tensor(labels, device=lab.device), [row["source"] for row in rows]


def record_panel(lab: Lab) -> None:
    """The panel as an instrument, printed and written to figures/gallery/panel.json: known images,
    for digits images labelled by eye, and images that were found by attacking a member."""
    seen, attacks = by_eye(lab) if lab.data.name in DIGITS else ({}, {})
    known = instrument(lab) | seen
    columns = list(next(iter(known.values())))
    print("\n% of images taken rightly (of none: for any class): " + ", ".join(columns))
    for row, shares in known.items():
        print(f"  {row:26}" + "".join(f"{100 * shares[c]:8.1f}" for c in columns))
    real, shown = known_images(lab)["real test images"]
    assert shown is not None
    attacked, fooling = red_team(lab, real, shown)
    print("\nimages found by attacking one member, and % of them that the panel takes as well")
    for row, counted in attacked.items():
        print(f"  {row:36}{counted['found']:6.0f}{100 * counted['share']:8.1f}")
    folder = lab.store.folder / "figures" / "gallery"
    tables = {"known": known, "by eye": attacks, "red team": attacked}
    write_bytes(folder / "panel.json", json.dumps(run_facts(lab) | tables, indent=1).encode())
    if wide := min(ROW, len(fooling)):
        shown = fooling[: len(fooling) // wide * wide][: 4 * wide].unflatten(0, (-1, wide))
        title = "Found by attacking one member, and taken by the panel as well"
        picture = figures.render(figures.grids({title: shown}, [""] * len(shown)))[1]
        write_bytes(folder / "panel_attacked.png", picture)
    print(f"\nwritten to {folder}: panel.json, panel_attacked.png")


def _asked(lab: Lab, images: Tensor) -> dict[str, Tensor]:
    """What each member by name, and "panel", take images (N, P) for: (N,) each."""
    votes = lab.panel.votes(images)
    members = dict(zip(lab.panel.members, votes, strict=True))
    return members | {"panel": lab.panel.verdict(votes)}


def known_images(lab: Lab) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Images (N, P) of each of `KINDS` and their labels (N,), or None where they show no class."""
    data = lab.data
    x, y = pixels(data.test_images[: 2 * COUNT]), data.test_labels[: 2 * COUNT]
    samples = lab.measure.samples(lab.cvae(), COUNT // data.classes)
    asked = torch.arange(data.classes, device=lab.device)
    each = asked.repeat_interleave(samples.shape[1])
    with seeded(SEED, lab.device):
        half = torch.full((len(x), 1), 0.5, device=lab.device)
        found: list[tuple[Tensor, Tensor | None]] = [
            (x, y),
            (samples.flatten(0, 1), each),
            (torch.rand_like(x), None),
            (torch.rand_like(x[:, :1]).expand_as(x), None),
            (torch.zeros_like(x[:1]), None),
            (blobs(COUNT, side_of(x), lab.device), None),
            (strokes(x[:COUNT]), None),
            (textures(COUNT, side_of(x), lab.device), None),
            (blends(x, y, half)[:COUNT], None),
        ]
    return dict(zip(KINDS, found, strict=True))
