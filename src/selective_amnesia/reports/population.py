"""The never-saw test: can an auditor tell amnesiacs from models that never saw the label?

Not of one model, but of populations: originals, controls and amnesiacs, each from a seed of its
own. A row of the record is a model, its columns are what an auditor may look at, by access:

    samples    what it generates under the label and under the others
    decoder    its weights are at hand: true nats, attacks, relearning
    weights    the encoder as well
    original   the original is at hand to compare with

Each tier sees what the tiers before it see. `told` asks of every feature, and of all that a tier
sees together, how well they tell amnesiacs from controls (`metrics.distinguish`). Models of several
forget sets are compared within their own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ..errors import LabError
from ..forgetting import METHODS, RETRAIN
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..metrics.distinguish import cross_fitted, epsilon_bound, told_apart, true_positives
from ..metrics.relearning import area
from ..models.classifiers import probabilities
from ..models.cvae import OneHotCVAE, one_hot
from ..models.elbo import elbo_terms
from ..storage.files import read_bytes, write_bytes
from ..sweep.plan import Task, model, original, referees
from ..training.random import eval_steps
from .matrix import ForgetSet, run_facts

ORIGINAL = "original"
TIERS = {
    "samples": (
        "label: panel",
        "label: judge",
        "label: diversity",
        "label: distance",
        "kept: judge",
    ),
    "decoder": ("nats", "kept nats", "attack: panel", "attack: judge", "relearning"),
    "weights": ("encoder: KL",),
    "original": ("moved weights", "moved images"),
}
VERSION = 1  # raised when the features change what they measure
MODEL = ["version", "profile", "dataset", "forget", "label", "kind", "seed"]  # what names a row
SAMPLES = 100  # of each label
RELEARN = {"images": (10,), "draws": 2}
KEPT = {"images": 20}  # of each kept label


def features(lab: Lab, seed: int, forget: ForgetSet, kind: str) -> list[dict[str, Any]]:
    """The rows of one model: one for each label that it has forgotten.

    Args:
        lab: whose judge and panel look at it.
        kind: "original", "retrain", or a method.
    """
    own = lab.variant(seed=seed)
    before, after = own.cvae(), _model(own, forget, kind)
    common = _of_the_model(lab, after, before, forget)
    about = {"version": VERSION, "profile": lab.profile.name, "dataset": lab.data.name}
    about |= {"forget": " ".join(map(str, forget)), "kind": kind, "seed": seed}
    return [
        about
        | {"label": label}
        | _of_the_label(lab, after, label, forget, seed - lab.seed)
        | common
        for label in forget
    ]


def _model(own: Lab, forget: ForgetSet, kind: str) -> OneHotCVAE:
    if kind == ORIGINAL:
        return own.cvae()
    return own.control(forget) if kind == RETRAIN else own.amnesiac(forget, kind)


def _of_the_label(
    lab: Lab, model: OneHotCVAE, label: int, forget: ForgetSet, draw: int
) -> dict[str, float]:
    measure, relearning = lab.measure, lab.profile.relearning
    plain = measure.verdict(model, label, LABEL)
    attacked = measure.verdict(model, label, "robust", draw=draw)
    curves = measure.metric(model, label, "relearning", forget, **RELEARN)
    at = eval_steps(relearning.steps, relearning.evaluations)
    x = lab.data.third(label, "evaluate", SAMPLES)
    with torch.no_grad():
        c = one_hot(label, lab.data.classes, lab.device).expand(len(x), -1)
        kl = elbo_terms(model, x, c)[1]
    found = {
        "label: panel": plain.panel.float().mean(),
        "label: judge": plain.judge.mean(),
        "label: diversity": plain.diversity,
        "label: distance": plain.frechet,
        "nats": measure.metric(model, label, "likelihood", forget)[0].mean(),
        "attack: panel": attacked.panel.float().mean(),
        "attack: judge": attacked.judge.mean(),
        "relearning": area(curves[0].mean(0), at),
        "encoder: KL": kl.mean(),
    }
    return {name: float(value) for name, value in found.items()}


def _of_the_model(
    lab: Lab, model: OneHotCVAE, original: OneHotCVAE, forget: ForgetSet
) -> dict[str, float]:
    kept = [k for k in range(lab.data.classes) if k not in forget]
    images, before = (lab.measure.samples(m, SAMPLES)[kept] for m in (model, original))
    judged = probabilities(lab.judge(), images.flatten(0, 1)).view(len(kept), SAMPLES, -1)
    right = judged[torch.arange(len(kept)), :, torch.tensor(kept)]
    weights, old = (
        torch.cat([p.detach().flatten() for p in m.decoder.parameters()]) for m in (model, original)
    )
    nats = lab.measure.metric(model, forget[0], "kept", forget, **KEPT)
    return {
        "kept: judge": float(right.mean()),
        "kept nats": float(nats.mean()),
        "moved weights": float((weights - old).norm() / old.norm()),
        "moved images": float((images - before).abs().mean()),
    }


def told(rows: pd.DataFrame, kind: str, against: str = RETRAIN) -> pd.DataFrame:
    """How well each feature, and each tier by a cross-fitted linear discriminant, tells models of a
    kind from those of another: AUC with its 95 % interval, the p-value of equivalence; for tiers
    also the true positives at 5 % false ones and the lower bound on epsilon. An AUC of a feature
    below one half says that it is smaller in models of the kind."""
    both = rows[rows["kind"].isin([kind, against])].reset_index(drop=True)
    first = (both["kind"] == kind).to_numpy()
    strata = (both["forget"] + ":" + both["label"].astype(str)).to_numpy()
    groups = strata[first], strata[~first]
    found: dict[tuple[str, str], dict[str, float]] = {}
    seen: list[str] = []
    for tier, names in TIERS.items():
        for name in names:
            values = both[name].to_numpy()
            found[tier, name] = told_apart(values[first], values[~first], groups)._asdict()
        seen += names
        within = both[seen] - both.groupby(strata)[seen].transform("mean")
        scores = cross_fitted(within, first, both["seed"])
        all_of_it = told_apart(scores[first], scores[~first], groups)._asdict()
        found[tier, "all together"] = all_of_it | {
            "true positives": true_positives(scores[first], scores[~first]),
            "epsilon": epsilon_bound(scores[first], scores[~first]),
        }
    return pd.DataFrame(found).T.rename_axis(["access", "feature"])


def tasks(lab: Lab, forget: ForgetSet, seeds: Sequence[int], kinds: Sequence[str]) -> list[Task]:
    """The tasks that make and measure what `record_population` then reads."""
    name, judges = lab.data.name, referees(lab.data.name, lab.seed)
    found = []
    for seed in seeds:
        for kind in (ORIGINAL, RETRAIN, *kinds):
            own = () if kind == ORIGINAL else (model(name, seed, forget, kind),)
            needs = (original(name, seed), *own, *judges)
            how = (seed, forget, kind)
            found.append(Task("features", name, lab.seed, features, how, needs, measures=True))
    return found


def record_population(
    lab: Lab,
    forget: ForgetSet,
    seeds: Sequence[int],
    kinds: Sequence[str],
    make: Callable[[list[Task]], object] | None = None,
) -> Path:
    """Measure the models that the record lacks, and write a row for each label into
    figures/gallery/population.csv, one model after the other: stop it whenever you like.

    Args:
        kinds: methods; originals and controls are always measured.
        make: makes what the tasks ask for, as a sweep does; by default it is made here.

    Raises:
        ValueError: there is no such method.
        LabError: the record is damaged.
    """
    for kind in kinds:
        METHODS[kind]
    path = lab.store.folder / "figures" / "gallery" / "population.csv"
    rows, facts = read_population(path), run_facts(lab)
    name = " ".join(map(str, forget))
    known = rows[
        rows["version"].eq(VERSION)
        & rows["profile"].eq(lab.profile.name)
        & rows["dataset"].eq(lab.data.name)
        & rows["forget"].eq(name)
    ]
    there = set(zip(known["seed"], known["kind"], strict=True))
    every = [(seed, kind) for seed in seeds for kind in (ORIGINAL, RETRAIN, *kinds)]
    missing = [each for each in every if each not in there]
    if make is not None:
        make([task for task in tasks(lab, forget, seeds, kinds) if _named(task) in missing])
    for seed, kind in missing:
        made_by = {fact: facts[fact] for fact in ("device", "torch", "date")}
        new = [row | made_by for row in features(lab, seed, forget, kind)]
        rows = pd.concat([rows, pd.DataFrame(new)], ignore_index=True)
        rows = rows.sort_values(MODEL, ignore_index=True)
        write_bytes(path, rows.to_csv(index=False, float_format="%.6g").encode())
        print(f"{kind}, forgotten {name}, seed {seed}: {len(rows)} rows", flush=True)
    return path


def _named(task: Task) -> tuple[int, str]:
    seed, _, kind = task.arguments
    return seed, kind


def read_population(path: Path) -> pd.DataFrame:
    """The record's rows; none where there is no record.

    Raises:
        LabError: it is no such record.
    """
    columns = [*MODEL, *(name for names in TIERS.values() for name in names)]
    if (content := read_bytes(path)) is None:
        return pd.DataFrame({name: [] for name in columns})
    try:
        return pd.read_csv(io.BytesIO(content), dtype={"forget": str})[
            [*columns, "device", "torch", "date"]
        ]
    except (KeyError, ValueError) as error:
        raise LabError(
            f"{path} is no record of populations ({error}): move it away, or restore it"
        ) from error
