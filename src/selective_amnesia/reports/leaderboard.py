"""Every forgetting method on one calibrated table.

A method is asked three things: is the label gone as far as from a model that never saw it (erasure
1, see `metrics.description`), does the plain label still bring it, and what did the labels that
stay pay? It is run from several originals, and its erasure is measured against the mean of as many
controls: two controls differ by more than a bootstrap over images shows. The controls are a row of
their own, "retrain", each measured against the others: its spread is what chance leaves.

The rows are in the order of the mean over the originals of

    gap = |erasure - 1| + share(label | itself)
          + max(0, kept labels' cost) / (control's - original's nats)

each a share of what knowing the label is worth, so that neither forgetting too little, nor
forgetting more than never having seen, nor damage stays hidden.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..attacks import ATTACKS
from ..checks import forget_set
from ..config import ForgetConfig
from ..errors import Diverged
from ..forgetting import METHODS, RETRAIN
from ..lab.identity import identify
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..metrics import METRICS
from ..metrics.description import erasure
from ..metrics.relearning import area
from ..sweep.plan import Task, model, networks, original, referees
from ..training.random import eval_steps

RELEARNED_FROM = 10  # real images
CALIBRATED = ("description", "kept", "relearning")  # metrics that are shown against the controls'

Measures = dict[str, float | None]  # one model's


def leaderboard(
    lab: Lab,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    methods: Sequence[str] | None = None,
    attacks: Sequence[str] | None = None,
    *,
    harder: bool = False,
) -> dict[str, Any]:
    """What each method does to the originals of these seeds, made where it is not there yet.

    Args:
        methods: the rows; by default the controls and all METHODS.
        attacks: those of ATTACKS to send; all by default.
        harder: ask a stronger attacker for the erasure as well (`stronger`): minutes a method.

    Returns:
        "yardstick": mean nats of originals and controls, the controls' mean relearning, and these
        by seed; "rows": for each method its settings and the measures of each seed (`measured`),
        or why it failed. Of a single control erasure and relearning are None: they would be 1 and
        0 by construction.
    """
    chosen = forget_set(forget, lab.data.classes)
    labs, ends = _yardstick(lab, chosen, seeds)
    ends["relearning"] = [_relearned(lab, sib.control(chosen), chosen) for sib in labs]
    rows: dict[str, Any] = {}
    for method in methods or (RETRAIN, *METHODS):
        retrained = method == RETRAIN
        settings: dict[str, Any] = {}
        if not retrained:
            settings = METHODS.settings(method, ForgetConfig, lab.profile).shaping()
        rows[method] = {"settings": settings, "seeds": {}}
        for i, sibling in enumerate(labs):
            try:
                model = sibling.control(chosen) if retrained else sibling.amnesiac(chosen, method)
            except Diverged as error:
                rows[method]["failed"] = str(error)
                break
            against = _means(ends, leave_out=i if retrained else None)
            row = measured(lab, model, sibling.cvae(), chosen, against, attacks)
            if retrained and len(labs) == 1:
                row |= {"erasure": None, "relearning": None}
            rows[method]["seeds"][str(sibling.seed)] = row
        if harder and "failed" not in rows[method]:
            found = stronger(lab, method, chosen, seeds)
            for row, erased in zip(rows[method]["seeds"].values(), found, strict=True):
                row["harder"] = erased if row["erasure"] is not None else None
    return {"forget": list(chosen), "yardstick": _means(ends) | {"by_seed": ends}, "rows": rows}


def tasks(
    lab: Lab, forget: tuple[int, ...], seeds: Sequence[int], methods: Sequence[str], harder: bool
) -> list[Task]:
    """The tasks that make and measure all that `leaderboard` then only reads."""
    name, judges = lab.data.name, referees(lab.data.name, lab.seed)
    found = networks(name, seeds, [forget], methods)
    for seed in seeds:
        asked: tuple[Task, ...] = (original(name, seed), *judges)
        for row in (RETRAIN, *(m for m in methods if m != RETRAIN)):
            needs = (model(name, seed, forget, row), *asked)
            how = (seed, forget, row, harder)
            measuring = Task("row", name, lab.seed, measure_row, how, needs, measures=True)
            found.append(measuring)
            if row == RETRAIN:  # it measures the original too, which others then only read
                asked = (*asked, measuring)
    return found


def measure_row(lab: Lab, seed: int, forget: tuple[int, ...], row: str, harder: bool) -> None:
    """Measure what a row of the leaderboard shows of one seed."""
    sibling = lab.variant(seed=seed)
    made = sibling.control(forget) if row == RETRAIN else sibling.amnesiac(forget, row)
    measured(lab, made, sibling.cvae(), forget, {"control": 0.0, "relearning": 0.0})
    if harder:
        stronger(lab, row, forget, (seed,))


def stronger(
    lab: Lab,
    method: str,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    **changes: Any,
) -> list[float]:
    """A method's erasure for each seed, on a hundred images, by an attacker with ten random
    conditions as starts besides the labels and twice the steps, which goes on by L-BFGS.

    Args:
        changes: of its settings, e.g. more_starts=0 and polish=0 for the usual one.
    """
    chosen = forget_set(forget, lab.data.classes)
    how = {"steps": 2 * lab.profile.description.steps, "more_starts": 10, "polish": 100}
    how |= {"images": 100} | changes
    labs, ends = _yardstick(lab, chosen, seeds, **how)
    found = []
    for i, sibling in enumerate(labs):
        retrained = method == RETRAIN
        model = sibling.control(chosen) if retrained else sibling.amnesiac(chosen, method)
        top = _means(ends, leave_out=i if retrained else None)["control"]
        nats = _nats(lab, model, chosen, **how)
        found.append(float(erasure(nats, ends["original"][i], top)))
    return found


def _yardstick(
    lab: Lab, forget: tuple[int, ...], seeds: Sequence[int], **changes: Any
) -> tuple[list[Lab], dict[str, list[float]]]:
    """The labs of these seeds, and the nats of their originals and controls."""
    if not len(seeds):
        raise ValueError("there are no seeds: name at least one")
    labs = [lab.variant(seed=seed) for seed in seeds]
    ends = {
        "original": [_nats(lab, sibling.cvae(), forget, **changes) for sibling in labs],
        "control": [_nats(lab, sibling.control(forget), forget, **changes) for sibling in labs],
    }
    return labs, ends


def _means(ends: Mapping[str, Sequence[float]], leave_out: int | None = None) -> dict[str, float]:
    """The means over the seeds, but for one where there are others."""
    return {
        name: statistics.mean([v for i, v in enumerate(values) if i != leave_out] or values)
        for name, values in ends.items()
    }


def measured(
    lab: Lab,
    model: Any,
    original: Any,
    forget: Iterable[int] | str,
    yardstick: Mapping[str, float],
    attacks: Sequence[str] | None = None,
) -> Measures:
    """One model's figures, means over the forgotten labels.

    Args:
        original: the model that it forgot from.
        yardstick: the controls' mean "control" nats and "relearning".
        attacks: those of ATTACKS to send; all by default.

    Returns:
        "erasure"; "cost" in nats per image of the kept labels; "gap" (see above); "label", the
        share of images under the label itself that the panel takes for it, and "after NAME" for
        each attack; "relearning" from ten real images, the area above the controls'; the mean
        of every other metric by its name; "seconds" that the model took.
    """
    chosen = forget_set(forget, lab.data.classes)
    low, nats = _nats(lab, original, chosen), _nats(lab, model, chosen)
    worth = yardstick["control"] - low
    after, before = (
        lab.measure.metric(m, chosen[0], "kept", chosen).mean() for m in (model, original)
    )
    cost = float(after - before)
    erased = float(erasure(nats, low, yardstick["control"]))
    label = _seen(lab, model, chosen, LABEL)
    lost = max(0.0, cost) / worth if worth > 0 else float("nan")
    row: Measures = {
        "erasure": erased,
        "cost": cost,
        "gap": abs(erased - 1) + label + lost,
        "label": label,
        "relearning": _relearned(lab, model, chosen) - yardstick["relearning"],
    }
    for attack in ATTACKS if attacks is None else attacks:
        row[f"after {attack}"] = _seen(lab, model, chosen, attack)
    for metric in METRICS:
        if metric not in CALIBRATED:
            values = [lab.measure.metric(model, k, metric, chosen).float() for k in chosen]
            row[metric] = statistics.mean(float(v.mean()) for v in values)
    known = identify(model, lab.device).key == getattr(model, "facts", {}).get("name")
    return row | {"seconds": model.facts["seconds"] if known else None}


def _nats(lab: Lab, model: Any, forget: Sequence[int], **changes: Any) -> float:
    asked = (lab.measure.metric(model, k, "description", forget, **changes) for k in forget)
    return statistics.mean(float(nats.mean()) for nats in asked)


def _seen(lab: Lab, model: Any, forget: Sequence[int], way: str) -> float:
    """The share that the panel takes for the labels of what a way of asking brings."""
    asked = (lab.measure.verdict(model, k, way) for k in forget)
    return statistics.mean(float(seen.panel.mean()) for seen in asked)


def _relearned(lab: Lab, model: Any, forget: Sequence[int]) -> float:
    """The area under the curve of relearning, mean over the labels."""
    config = lab.profile.relearning
    at = eval_steps(config.steps, config.evaluations)
    asked = (
        lab.measure.metric(model, k, "relearning", forget, images=(RELEARNED_FROM,)) for k in forget
    )
    return statistics.mean(float(area(curves[0].mean(0), at)) for curves in asked)
