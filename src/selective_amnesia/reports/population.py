"""The never-saw test's record: populations of originals, controls and amnesiacs, a row a model.

One amnesiac and one control say nothing of what differs by chance, so each kind is made many times,
each model from a seed of its own. A row of the record, one a data set, is a model and a label that
it has forgotten; its columns are what an auditor may look at (`features`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from ..checks import words
from ..errors import Diverged, LabError
from ..forgetting import METHODS, RETRAIN
from ..lab.lab import Lab
from ..metrics.distinguish import ACCESS
from ..models.cvae import OneHotCVAE
from ..storage.files import read_bytes, write_bytes
from ..sweep.plan import Task, model, original, referees
from .features import access, features, is_feature, measures, of_plugins
from .matrix import ForgetSet, run_facts

ORIGINAL = "original"
VERSION = 3  # raised when the features change what they measure
# what names a row; `judges` is the seed of judge and panel
MODEL = ["version", "profile", "dataset", "judges", "forget", "label", "kind", "seed"]
MADE = ["failed", "seconds", "device", "torch", "date"]


def record_of(dataset: str) -> Path:
    """The record of a data set, from the folder that holds checkpoints and figures."""
    return Path("figures", "gallery", f"population-{dataset}.csv")


def measured(lab: Lab, seed: int, forget: ForgetSet, kind: str) -> list[dict[str, Any]]:
    """The rows of one model: one for each label that it has forgotten.

    Args:
        lab: whose judge and panel look at it.
        kind: "original", "retrain", or a method.
    """
    own, judges = lab.variant(seed=seed), measures(lab)
    about = {"version": VERSION, "profile": lab.profile.name, "dataset": lab.data.name}
    about |= {"judges": lab.seed, "forget": words(forget), "kind": kind, "seed": seed}
    rows = [about | {"label": label, "failed": ""} for label in forget]
    try:
        before, after = own.cvae(), _model(own, forget, kind)
    except Diverged as error:
        return [row | {"failed": str(error)} for row in rows]
    seconds = {"seconds": after.facts["seconds"]}
    return [
        row | seconds | features(judges, after, label, forget, before, draw=seed)
        for row, label in zip(rows, forget, strict=True)
    ]


def _model(own: Lab, forget: ForgetSet, kind: str) -> OneHotCVAE:
    if kind == ORIGINAL:
        return own.cvae()
    return own.control(forget) if kind == RETRAIN else own.amnesiac(forget, kind)


def tasks(lab: Lab, forget: ForgetSet, seeds: Sequence[int], kinds: Sequence[str]) -> list[Task]:
    """The tasks that make and measure what `record_population` then reads."""
    name, judges = lab.data.name, referees(lab.data.name, lab.seed)
    found = []
    for seed in seeds:
        needs: tuple[Task, ...] = (original(name, seed), *judges)
        for kind in _kinds(kinds):
            made = () if kind == ORIGINAL else (model(name, seed, forget, kind),)
            how = (seed, forget, kind)
            asked = Task("features", name, lab.seed, measured, how, (*made, *needs), measures=True)
            found.append(asked)
            if kind == ORIGINAL:  # the nats of the others are compared with its own
                needs = (*needs, asked)
    return found


def _kinds(methods: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((ORIGINAL, RETRAIN, *methods)))


def record_population(
    lab: Lab,
    forget: ForgetSet,
    seeds: Sequence[int],
    kinds: Sequence[str],
    make: Callable[[list[Task]], object] | None = None,
) -> Path:
    """Measure the models that the record lacks, and write a row for each label into it, one model
    after the other: stop it whenever you like. What was measured without an attack or metric
    that is here now is measured again.

    Args:
        kinds: methods; originals and controls are always measured.
        make: makes what the tasks ask for, as a sweep does; by default it is made here.

    Raises:
        ValueError: there is no such method.
        LabError: the record is damaged.
    """
    for kind in kinds:
        if kind != RETRAIN:
            METHODS[kind]
    path = lab.store.folder / record_of(lab.data.name)
    known = like(lab, read_population(path), forget)
    whole = known.reindex(columns=of_plugins()).notna().all(axis=1) | known["failed"].ne("")
    there = set(zip(known["seed"][whole], known["kind"][whole], strict=True))
    missing = [(s, k) for s in seeds for k in _kinds(kinds) if (s, k) not in there]
    if make is not None:
        make([task for task in tasks(lab, forget, seeds, kinds) if _named(task) in missing])
    facts = run_facts(lab)
    made_by = {fact: facts[fact] for fact in ("device", "torch", "date")}
    for seed, kind in missing:
        count = _add(path, [row | made_by for row in measured(lab, seed, forget, kind)])
        print(f"{kind}, forgotten {words(forget)}, seed {seed}: {count} rows", flush=True)
    return path


def _add(path: Path, new: list[dict[str, Any]]) -> int:
    """Write rows into the record, in the place of those of the same models; how many there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(".population.lock")):
        known = [rows] if len(rows := read_population(path)) else []
        rows = pd.concat([*known, pd.DataFrame(new)], ignore_index=True)
        rows = rows.drop_duplicates(MODEL, keep="last").sort_values(MODEL, ignore_index=True)
        seen = sorted(filter(is_feature, rows), key=lambda name: ACCESS.index(access(name)))
        more = [c for c in rows if c not in (*MODEL, *seen, *MADE)]
        rows = rows[[*MODEL, *seen, *more, *MADE]]
        write_bytes(path, rows.to_csv(index=False, float_format="%.6g").encode())
    return len(rows)


def _named(task: Task) -> tuple[int, str]:
    seed, _, kind = task.arguments
    return seed, kind


def like(lab: Lab, rows: pd.DataFrame, forget: ForgetSet) -> pd.DataFrame:
    """Those of the record's rows that this lab would write of a forget set."""
    same = {"profile": lab.profile.name, "dataset": lab.data.name, "judges": lab.seed}
    same |= {"forget": words(forget)}
    return rows[(rows[list(same)] == pd.Series(same)).all(axis=1)]


def read_population(path: Path) -> pd.DataFrame:
    """The record's rows, without those of other versions; none where there is no record.

    Raises:
        LabError: it is no such record.
    """
    if (content := read_bytes(path)) is None:
        return pd.DataFrame({name: [] for name in (*MODEL, *MADE)})
    try:
        text = {"forget": str, "failed": str}
        rows = pd.read_csv(io.BytesIO(content), dtype=text).fillna({"failed": ""})
        rows = rows[rows["version"].eq(VERSION)].reset_index(drop=True)
        rows[[*MODEL, *MADE]]
    except (KeyError, ValueError) as error:
        raise LabError(
            f"{path} is no record of populations ({error}): move it away, or restore it"
        ) from error
    return rows
