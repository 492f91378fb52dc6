"""Every forgetting method on one calibrated table.

A method is asked three things: is the digit gone as far as from a model that never saw it (erasure
1, see `audit`), does its plain label still bring it, and what did the digits that stay pay? It is
run from several originals, and its erasure is measured against the mean of as many controls: two
controls differ by more than a bootstrap over images shows. The controls are a row of their own,
"retrain": its spread is what chance leaves.

The rows are in the order of

    gap = |erasure - 1| + P(digit | its label) + (kept digits' cost) / (control's - original's nats)

each a share of what knowing the digit is worth, so that neither forgetting too little, nor
forgetting more than never having seen, nor damage stays hidden.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from .audit import area, steps_to
from .config import forget_set, same_result
from .evaluation import interval, probabilities
from .forgetting import METHODS, RETRAIN, method_of, settings, title
from .lab import Lab
from .models import OneHotCVAE
from .stages import facts_of
from .training import Diverged, frame_steps

__all__ = [
    "STRONGER",
    "by_set",
    "leaderboard",
    "markdown",
    "measured",
    "over_digits",
    "ranked",
    "sets_markdown",
    "stronger",
]

RELEARNED_FROM, KEPT_IMAGES = 10, 100  # real images: in all, and of each kept digit
STRONGER = {"steps": 400, "more_starts": 10, "polish": 100, "images": 100}
SHOWN = {"erasure": 2, "cost": 2, "label": 3, "relearning": 2}  # of every set, to these places
Measures = dict[str, float | None]  # one model's
Table = dict[str, tuple[float, float, float]]  # mean, least and most


def leaderboard(
    lab: Lab,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    methods: Sequence[str] = (RETRAIN, *METHODS),
) -> dict[str, Any]:
    """What each method does to the originals of these seeds, made where it is not there yet.

    Returns:
        "yardstick": mean nats of originals and controls; "rows": for each method its settings and
        the measures of each seed (`measured`), or why it failed.
    """
    forget = forget_set(forget, lab.classes)
    for method in methods:
        if method != RETRAIN:
            method_of(method)
    labs = lab.siblings(seeds)
    controls = [sibling.control(forget) for sibling in labs]
    ends = {
        "original": [_nats(lab, sibling.cvae(), forget) for sibling in labs],
        "control": [_nats(lab, control, forget) for control in controls],
    }
    yardstick = {name: statistics.mean(nats) for name, nats in ends.items()}
    yardstick["relearning"] = statistics.mean(_relearned(lab, c, forget)[0] for c in controls)
    rows: dict[str, Any] = {}
    for method in methods:
        like = {} if method == RETRAIN else same_result(settings(method, lab.profile.forget))
        rows[method] = {"settings": like, "seeds": {}}
        for i, sibling in enumerate(labs):
            try:
                model = (
                    controls[i] if method == RETRAIN else sibling.amnesiac(forget, method=method)
                )
            except Diverged as error:
                rows[method]["failed"] = str(error)
                break
            found = measured(lab, model, sibling.cvae(), forget, yardstick)
            rows[method]["seeds"][str(sibling.seed)] = found
    return {"forget": list(forget), "yardstick": yardstick | {"by_seed": ends}, "rows": rows}


def stronger(
    lab: Lab,
    method: str,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    **changes: Any,
) -> list[float]:
    """A method's erasure for each seed by an attacker with more starts and steps, who goes on by
    L-BFGS (`STRONGER`)."""
    forget = forget_set(forget, lab.classes)
    labs = lab.siblings(seeds)
    harder = STRONGER | changes
    low = [_nats(lab, sibling.cvae(), forget, **harder) for sibling in labs]
    high = [_nats(lab, sibling.control(forget), forget, **harder) for sibling in labs]
    nats = high
    if method != RETRAIN:
        nats = [_nats(lab, s.amnesiac(forget, method=method), forget, **harder) for s in labs]
    top = statistics.mean(high)
    return [(n - o) / (top - o) for n, o in zip(nats, low, strict=True)]


def measured(
    lab: Lab,
    model: OneHotCVAE,
    original: OneHotCVAE,
    forget: Iterable[int] | str,
    yardstick: dict[str, float],
) -> Measures:
    """One model's figures, means over the forgotten digits.

    Args:
        original: the model that it forgot from.
        yardstick: the controls' mean "control" nats and "relearning".

    Returns:
        "erasure"; "cost" in nats per image of the kept digits under their labels; "gap" (see
        above); the referee's P of the digit under its "label" and after "attack" A; relearning
        from ten real images, the area "relearning" above the controls' and the "steps" it takes;
        "seconds" that the model took.
    """
    forget = forget_set(forget, lab.classes)
    kept = [digit for digit in range(lab.classes) if digit not in forget]
    low, nats = _nats(lab, original, forget), _nats(lab, model, forget)
    worth = yardstick["control"] - low
    after, before = (lab.code_length(m, kept, images=KEPT_IMAGES) for m in (model, original))
    cost = float((after - before).mean())
    erasure = (nats - low) / worth
    relearned, steps = _relearned(lab, model, forget)
    label = _seen(lab, model, forget, "label")
    return {
        "erasure": erasure,
        "cost": cost,
        "gap": abs(erasure - 1) + label + max(0.0, cost) / worth,
        "label": label,
        "attack": _seen(lab, model, forget, "a"),
        "relearning": relearned - yardstick["relearning"],
        "steps": steps,
        "seconds": facts_of(model).get("seconds"),
    }


def _nats(lab: Lab, model: OneHotCVAE, forget: Sequence[int], **changes: Any) -> float:
    each = [lab.description_length(model, digit, **changes).mean() for digit in forget]
    return statistics.mean(map(float, each))


def _seen(lab: Lab, model: OneHotCVAE, forget: Sequence[int], method: str) -> float:
    """The referee's P of the digits in what `Lab.painted` shows of them."""
    referee = lab.referee()
    painted = (lab.painted(model, digit, method) for digit in forget)
    seen = (probabilities(referee, x)[:, d].mean() for x, d in zip(painted, forget, strict=True))
    return statistics.mean(map(float, seen))


def _relearned(lab: Lab, model: OneHotCVAE, forget: Sequence[int]) -> tuple[float, float | None]:
    """The area under the curve of relearning and the steps it takes, means over the digits."""
    config = lab.profile.relearning
    watched = frame_steps(config.steps, config.looks)
    k = (RELEARNED_FROM,)
    curves = [lab.relearning(model, digit, images=k)[0].mean(0) for digit in forget]
    steps = [steps_to(curve, watched) for curve in curves]
    back = None if None in steps else statistics.mean(steps)
    return statistics.mean(float(area(curve, watched)) for curve in curves), back


def ranked(found: dict[str, Any]) -> list[tuple[str, Table | None]]:
    """The rows by their gap, failures last: a method, and of each measure mean, least and most over
    the seeds."""
    rows = []
    for method, row in found["rows"].items():
        by_seed = list(row["seeds"].values())
        if "failed" in row or not by_seed:
            rows.append((method, None))
            continue
        table = {}
        for name in by_seed[0]:
            values = [seed[name] for seed in by_seed if seed[name] is not None]
            if values:
                table[name] = (statistics.mean(values), min(values), max(values))
        rows.append((method, table))
    return sorted(rows, key=lambda row: float("inf") if row[1] is None else row[1]["gap"][0])


def markdown(found: dict[str, Any]) -> str:
    """The table, as text."""
    head = ["method", "erasure", "kept digits' cost (nats)", "referee's P under the label"]
    head += ["after attack A", "relearning above the controls'", "seconds"]
    lines = [_line(head), _line(["---"] * len(head))]
    for method, table in ranked(found):
        name = title(method)
        if table is None:
            lines.append(_line([name, "diverged", "", "", "", "", ""]))
            continue
        cells = [
            name,
            _spread(table["erasure"], 2),
            _spread(table["cost"], 2),
            _spread(table["label"], 3),
            _spread(table["attack"], 2),
            _spread(table["relearning"], 2),
            f"{table['seconds'][0]:.0f}" if "seconds" in table else "",
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def by_set(known: dict[str, Any]) -> dict[str, dict[str, Table]]:
    """Method -> forget set -> measures as in `ranked`, of the methods that every set was given."""
    tables = {name: dict(ranked(found)) for name, found in sorted(known.items())}
    shared = [m for m in next(iter(tables.values())) if all(t.get(m) for t in tables.values())]
    return {method: {name: t[method] for name, t in tables.items()} for method in shared}


def over_digits(sets: dict[str, Table]) -> Table | None:
    """A method's mean measures over digits that were forgotten each on its own, with 95 % bootstrap
    intervals over the digits; None where there are fewer than two."""
    alone = [table for name, table in sets.items() if len(name) == 1]
    if len(alone) < 2:
        return None
    found = {}
    for measure in SHOWN:
        means = torch.tensor([table[measure][0] for table in alone])
        found[measure] = (float(means.mean()), *interval(means))
    return found


def sets_markdown(known: dict[str, Any]) -> str:
    """The measures of those methods for every forget set, means over its originals."""
    methods = by_set(known)
    controls = methods.pop(RETRAIN, {})
    head = ["forgotten", "originals", "controls' erasures"]
    for method in methods:
        head += [f"{title(method)}: erasure", "cost", "P(label)", "relearning"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, found in sorted(known.items()):
        cells = [name, str(len(found["seeds"]))]
        cells.append(_spread(controls[name]["erasure"], 2) if controls else "")
        for sets in methods.values():
            cells.append(_spread(sets[name]["erasure"], 2))
            cells += [_number(sets[name][m][0], n) for m, n in SHOWN.items() if m != "erasure"]
        lines.append(_line(cells))
    means = [over_digits(sets) for sets in methods.values()]
    if all(means):
        cells = [_spread(mean[measure], n) for mean in means for measure, n in SHOWN.items()]
        lines.append(_line(["mean of the digits (95 %)", "", "", *cells]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: tuple[float, float, float], places: int) -> str:
    mean, low, high = (_number(value, places) for value in values)
    return mean if low == high else f"{mean} ({low} to {high})"


def _number(value: float, places: int) -> str:
    shown = 0.0 if abs(value) < 0.5 * 10**-places else value  # what rounds to it has no sign
    return f"{shown:.{places}f}".replace("-", "−")
