"""How much of a label passes through what a network generates for the other labels.

    python benchmarks/leak.py                        seeds 0 to 3, digits 0, 3 and 7; resumable
    python benchmarks/leak.py --seeds 4 5 --labels 9
    python benchmarks/leak.py --table                the table of docs/leak.md, from the record

A decoder that begins at random is taught what another generates under the kept labels: once of an
original, which knows the label, once of a control, which never saw it, with the same random numbers
for both (`calibrated_amnesia.student`). What the two then need for the label's real images differs
by what came through the others. Every row of figures/gallery/leak.csv is a network.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student_t
from torch import Tensor

from selective_amnesia import Lab
from selective_amnesia.config import Config, DescriptionConfig, ForgetConfig
from selective_amnesia.forgetting import METHODS
from selective_amnesia.forgetting.calibrated_amnesia import student
from selective_amnesia.forgetting.task import Task, made_here
from selective_amnesia.metrics import METRICS
from selective_amnesia.metrics.description import description_length
from selective_amnesia.metrics.likelihood import as_pixels, log_likelihood, strongest_condition
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.training.random import seeded

RECORD = Path(__file__).resolve().parents[1] / "figures" / "gallery" / "leak.csv"
NETWORK = ["profile", "label", "seed", "kind", "steps"]  # what names a row
KINDS = ("original", "control", "student of the original", "student of the control")
NATS = ["nats", "energy", "kept nats"]
IMAGES = 100  # of the label, to search on and to measure on
USUAL = 40  # of them for the usual attacker
HARD = {"steps": 60, "more_starts": 10, "polish": 100, "samples": 500, "codes": 4}
KEPT = {"images": 20, "samples": 100, "codes": 4}  # of each kept label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 3, 7])
    parser.add_argument("--steps", type=int, nargs="+", default=[4000], help="of the students")
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--table", action="store_true", help="show the record, make nothing")
    options = parser.parse_args()
    if options.table:
        print(table(pd.read_csv(RECORD)))
        return
    lab = Lab.open(options.profile)
    asked = itertools.product(options.seeds, options.labels, KINDS, options.steps)
    for seed, label, kind, steps in asked:
        taught = steps if kind.startswith("student") else 0
        name = dict(zip(NETWORK, (lab.profile.name, label, seed, kind, taught), strict=True))
        if not known(name):
            row = name | measured(lab.variant(seed=seed), label, kind, taught)
            add(row)
            print(", ".join(f"{k} {v}" for k, v in row.items()), flush=True)


def known(name: dict[str, Any]) -> bool:
    """Whether the record has that network."""
    if not RECORD.exists():
        return False
    rows = pd.read_csv(RECORD)
    return bool((rows[NETWORK] == pd.Series(name)).all(axis=1).any())


def add(row: dict[str, Any]) -> None:
    """One more row of the record, which is whole at any time."""
    rows = [pd.read_csv(RECORD)] if RECORD.exists() else []
    whole = pd.concat([*rows, pd.DataFrame([row])]).sort_values(NETWORK)
    whole.to_csv(RECORD.with_suffix(".part"), index=False)
    RECORD.with_suffix(".part").replace(RECORD)


def measured(lab: Lab, label: int, kind: str, steps: int) -> dict[str, Any]:
    """What a network needs for real images, in nats: for the label's under the strongest condition
    of the harder attacker, and by energy of the usual one; for those of the kept labels, each
    under its own."""
    started = time.perf_counter()
    model = lab.cvae() if kind.endswith("original") else lab.control([label])
    if steps:
        model = pupil(model.requires_grad_(False), lab, label, steps)
    how = METRICS.settings("likelihood", Config, lab.profile, images=IMAGES, **HARD)
    few = METRICS.settings("likelihood", Config, lab.profile, **KEPT)
    with seeded(lab.seed, lab.device):
        grey = halves(lab, label)
        sought, x = (as_pixels(images, how.pixels) for images in grey)
        c = strongest_condition(model, sought, how)
        found = log_likelihood(model, x, c, how)
        usual = DescriptionConfig(steps=lab.profile.description.steps)
        energy = description_length(model, grey[1][:USUAL], usual)
        kept = [
            log_likelihood(
                model, as_pixels(halves(lab, k)[1][:: IMAGES // few.images], few.pixels), own, few
            ).nats.mean()
            for k, own in enumerate(torch.eye(model.classes, device=lab.device))
            if k != label
        ]
    return {
        "nats": round(float(found.nats.mean()), 3),
        "standard error": round(float(found.nats.std()) / IMAGES**0.5, 3),
        "nats, a quarter of the samples": round(float(found.quarter.mean()), 3),
        "energy": round(float(energy.mean()), 3),
        "kept nats": round(float(torch.stack(kept).mean()), 3),
        "seconds": round(time.perf_counter() - started),
        "device": str(lab.device),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def halves(lab: Lab, label: int) -> tuple[Tensor, Tensor]:
    """Images (IMAGES, P) to search a condition on and as many others to measure it on, both spread
    evenly over two thirds of the test images."""
    x = torch.stack([lab.data.third(label, p) for p in ("search", "evaluate")], 1).flatten(0, 1)
    every = len(x) // (2 * IMAGES)
    chosen = x[::every][: 2 * IMAGES]
    return chosen[::2], chosen[1::2]


def pupil(teacher: OneHotCVAE, lab: Lab, label: int, steps: int) -> OneHotCVAE:
    """A decoder that began at random, taught what a frozen one generates under all other labels."""
    config = METHODS.settings("calibrated_amnesia", ForgetConfig, lab.profile)
    task = Task.of(teacher, teacher, {}, config, (label,), (), lab.seed, None, made_here)
    return student(task, steps, whole=True)


def table(rows: pd.DataFrame) -> str:
    """By label and steps of the students; means over seeds, 95 % intervals by Student's t."""
    lines = []
    taught = rows[rows["kind"].str.startswith("student")]
    for (label, steps), _ in taught.groupby(["label", "steps"]):
        of = rows[(rows["label"] == label) & rows["steps"].isin([0, steps])]
        seen = {c: of.pivot(index="seed", columns="kind", values=c) for c in NATS}
        wide = {c: v.reindex(columns=KINDS).dropna() for c, v in seen.items()}  # whole seeds
        if wide["nats"].empty:
            continue
        (nats, energy, kept), (original, control, own, other) = (wide[c] for c in NATS), KINDS
        worth = nats[control] - nats[original]
        shown = {
            "digit": label,
            "steps": steps,
            "seeds": " ".join(map(str, nats.index)),
            "worth": interval(worth),
            "passes": interval(nats[other] - nats[own]),
            "share of the worth": interval((nats[other] - nats[own]) / worth, 2),
            "passes, by energy": interval(energy[other] - energy[own]),
            "control less its student": interval(nats[control] - nats[other]),
            "erasure of the original's student": interval((nats[own] - nats[original]) / worth, 2),
            "kept digits: the original's student's cost": interval(kept[own] - kept[original]),
            "the control's": interval(kept[other] - kept[control]),
        }
        lines.append(shown)
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


def interval(values: pd.Series, digits: int = 1) -> str:
    """Mean over seeds, and its 95 % interval by Student's t where there are several."""
    mean, n = values.mean(), len(values)
    said = f"{mean:.{digits}f}"
    if n > 1:
        half = student_t.ppf(0.975, n - 1) * values.std() / np.sqrt(n)
        said += f" ({mean - half:.{digits}f} to {mean + half:.{digits}f})"
    return said.replace("-", "−")


if __name__ == "__main__":
    main()
