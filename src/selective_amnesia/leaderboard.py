"""Every forgetting method on one calibrated table.

A method is asked three things: is the digit gone as far as from a model that never saw it (erasure
1, see `audit`), does its plain label still bring it, and what did the digits that stay pay? It is
run from several originals, and its erasure is measured against the mean of as many controls: two
controls differ by more than a bootstrap over images shows. The controls are a row of their own,
"retrain", each measured against the others: its spread is what chance leaves.

The rows are in the order of the mean over the originals of

    gap = |erasure - 1| + P(digit | its label) + max(0, kept digits' cost) / (control's - original's
          nats)

each a share of what knowing the digit is worth, so that neither forgetting too little, nor
forgetting more than never having seen, nor damage stays hidden.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from .audit import area
from .config import forget_set, same_result
from .evaluation import interval, probabilities
from .forgetting import METHODS, RETRAIN, method_of, settings, title
from .lab import Lab
from .models import OneHotCVAE
from .stages import facts_of
from .training import Diverged, frame_steps

__all__ = [
    "by_set",
    "digits_markdown",
    "leaderboard",
    "markdown",
    "measured",
    "over_digits",
    "ranked",
    "sets_markdown",
    "stronger",
]

RELEARNED_FROM, KEPT_IMAGES = 10, 100  # real images: in all, and of each kept digit
SHOWN = {  # measure -> its words, and to how many places
    "gap": ("gap", 2),
    "erasure": ("erasure", 2),
    "harder": ("erasure by a harder attacker", 2),
    "harder_gap": ("gap by him", 2),
    "cost": ("kept digits' cost (nats)", 2),
    "label": ("referee's P under the label", 3),
    "attack": ("after attack A", 2),
    "relearning": ("relearning above the controls'", 2),
}
OF_ONE_SET = {m: shown for m, shown in SHOWN.items() if not m.startswith("harder")}
OVER_DIGITS = {m: shown for m, shown in SHOWN.items() if m != "attack"}
Measures = dict[str, float | None]  # one model's
Table = dict[str, tuple[float, float, float]]  # mean, least and most


def leaderboard(
    lab: Lab,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    methods: Sequence[str] = (RETRAIN, *METHODS),
    *,
    harder: bool = False,
) -> dict[str, Any]:
    """What each method does to the originals of these seeds, made where it is not there yet.

    Args:
        harder: ask a harder attacker for the erasure as well (`stronger`): minutes a method.

    Returns:
        "yardstick": mean nats of originals and controls, the controls' mean relearning, and these
        by seed; "rows": for each method its settings and the measures of each seed (`measured`),
        or why it failed. Of a single control erasure and relearning are None: they would be 1 and
        0 by construction.
    """
    forget = forget_set(forget, lab.classes)
    chosen = {m: settings(m, lab.profile.forget) for m in methods if m != RETRAIN}
    labs, controls, ends = _yardstick(lab, forget, seeds)
    ends["relearning"] = [_relearned(lab, control, forget) for control in controls]
    rows: dict[str, Any] = {}
    for method in methods:
        like = same_result(chosen[method]) if method in chosen else {}
        rows[method] = {"settings": like, "seeds": {}}
        for i, sibling in enumerate(labs):
            try:
                model = sibling.amnesiac(forget, method) if method in chosen else controls[i]
            except Diverged as error:
                rows[method]["failed"] = str(error)
                break
            against = _means(ends, leave_out=None if method in chosen else i)
            row = measured(lab, model, sibling.cvae(), forget, against)
            if method == RETRAIN and len(labs) == 1:
                row |= {"erasure": None, "relearning": None}
            rows[method]["seeds"][str(sibling.seed)] = row
        if harder and "failed" not in rows[method]:
            found = stronger(lab, method, forget, seeds)
            for row, erasure in zip(rows[method]["seeds"].values(), found, strict=True):
                row["harder"] = erasure if row["erasure"] is not None else None
    return {"forget": list(forget), "yardstick": _means(ends) | {"by_seed": ends}, "rows": rows}


def stronger(
    lab: Lab,
    method: str,
    forget: Iterable[int] | str = (0,),
    seeds: Sequence[int] = (0, 1, 2),
    **changes: Any,
) -> list[float]:
    """A method's erasure for each seed, on a hundred images, by an attacker with ten random
    conditions as starts besides the labels and twice the steps, who goes on by L-BFGS.

    Args:
        changes: of his settings, e.g. more_starts=0 and polish=0 for the usual one.
    """
    forget = forget_set(forget, lab.classes)
    if method != RETRAIN:
        method_of(method)
    harder = {"steps": 2 * lab.profile.description.steps, "more_starts": 10, "polish": 100}
    harder |= {"images": 100} | changes
    labs, controls, ends = _yardstick(lab, forget, seeds, **harder)
    found = []
    for i, sibling in enumerate(labs):
        model = controls[i] if method == RETRAIN else sibling.amnesiac(forget, method)
        top = _means(ends, leave_out=i if method == RETRAIN else None)["control"]
        low, nats = ends["original"][i], _nats(lab, model, forget, **harder)
        found.append((nats - low) / (top - low))
    return found


def _yardstick(
    lab: Lab, forget: tuple[int, ...], seeds: Sequence[int], **changes: Any
) -> tuple[list[Lab], list[OneHotCVAE], dict[str, list[float]]]:
    """The labs of these seeds, their controls, and the nats of originals and controls by seed."""
    if not len(seeds):
        raise ValueError("there are no seeds: name at least one")
    labs = lab.siblings(seeds)
    controls = [sibling.control(forget) for sibling in labs]
    originals = [sibling.cvae() for sibling in labs]
    ends = {
        name: [_nats(lab, model, forget, **changes) for model in models]
        for name, models in (("original", originals), ("control", controls))
    }
    return labs, controls, ends


def _means(ends: Mapping[str, Sequence[float]], leave_out: int | None = None) -> dict[str, float]:
    """The means over the seeds, but for one where there are others."""
    return {
        name: statistics.mean([v for i, v in enumerate(values) if i != leave_out] or values)
        for name, values in ends.items()
    }


def measured(
    lab: Lab,
    model: OneHotCVAE,
    original: OneHotCVAE,
    forget: Iterable[int] | str,
    yardstick: Mapping[str, float],
) -> Measures:
    """One model's figures, means over the forgotten digits.

    Args:
        original: the model that it forgot from.
        yardstick: the controls' mean "control" nats and "relearning".

    Returns:
        "erasure"; "cost" in nats per image of the kept digits under their labels; "gap" (see
        above); the referee's P of the digit under its "label" and after "attack" A; "relearning"
        from ten real images, the area above the controls'; "seconds" that the model took.
    """
    forget = forget_set(forget, lab.classes)
    kept = [digit for digit in range(lab.classes) if digit not in forget]
    low, nats = _nats(lab, original, forget), _nats(lab, model, forget)
    worth = yardstick["control"] - low
    after, before = (lab.code_length(m, kept, images=KEPT_IMAGES) for m in (model, original))
    cost = float((after - before).mean())
    erasure = (nats - low) / worth
    label = _seen(lab, model, forget, "label")
    return {
        "erasure": erasure,
        "cost": cost,
        "gap": abs(erasure - 1) + label + max(0.0, cost) / worth,
        "label": label,
        "attack": _seen(lab, model, forget, "a"),
        "relearning": _relearned(lab, model, forget) - yardstick["relearning"],
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


def _relearned(lab: Lab, model: OneHotCVAE, forget: Sequence[int]) -> float:
    """The area under the curve of relearning, mean over the digits."""
    config = lab.profile.relearning
    watched = frame_steps(config.steps, config.looks)
    k = (RELEARNED_FROM,)
    curves = [lab.relearning(model, digit, images=k)[0].mean(0) for digit in forget]
    return statistics.mean(float(area(curve, watched)) for curve in curves)


def ranked(found: dict[str, Any]) -> list[tuple[str, Table | None]]:
    """The rows by their gap, failures last: a method, and of each measure mean, least and most over
    the seeds; where a harder attacker was sent the gap is also given by what he found."""
    rows = []
    for method, row in found["rows"].items():
        by_seed = [seed | _harder_gap(seed) for seed in row["seeds"].values()]
        if "failed" in row or not by_seed:
            rows.append((method, None))
            continue
        table = {}
        for name in by_seed[0]:
            values = [seed[name] for seed in by_seed if seed.get(name) is not None]
            if values:
                table[name] = (statistics.mean(values), min(values), max(values))
        rows.append((method, table))
    return sorted(rows, key=lambda row: float("inf") if row[1] is None else row[1]["gap"][0])


def _harder_gap(row: Measures) -> Measures:
    if row.get("harder") is None:
        return {}
    return {"harder_gap": row["gap"] - abs(row["erasure"] - 1) + abs(row["harder"] - 1)}


def markdown(found: dict[str, Any]) -> str:
    """The table, as text."""
    head = ["method", *(words for words, _ in OF_ONE_SET.values()), "seconds"]
    lines = [_line(head), _line(["---"] * len(head))]
    for method, table in ranked(found):
        if table is None:
            lines.append(_line([title(method), "diverged", *[""] * (len(head) - 2)]))
            continue
        cells = [_spread(table.get(name), places) for name, (_, places) in OF_ONE_SET.items()]
        cells.append(f"{table['seconds'][0]:.0f}" if "seconds" in table else "")
        lines.append(_line([title(method), *cells]))
    return "\n".join(lines)


def by_set(known: dict[str, Any]) -> dict[str, dict[str, Table]]:
    """Method -> forget set -> measures as in `ranked`, of the methods that are known for more than
    one set; those that come nearest first (`over_digits`)."""
    tables = {name: dict(ranked(found)) for name, found in sorted(known.items())}
    each = {
        method: {name: table[method] for name, table in tables.items() if table.get(method)}
        for method in (RETRAIN, *METHODS)
    }
    several = {method: sets for method, sets in each.items() if len(sets) > 1}
    gap = {m: over_digits(sets).get("gap", (float("inf"),))[0] for m, sets in several.items()}
    return {method: several[method] for method in sorted(several, key=gap.get)}


def over_digits(sets: Mapping[str, Table]) -> Table:
    """A method's mean measures over digits that were forgotten each on its own, with 95 % bootstrap
    intervals over the digits; nothing where there are fewer than two."""
    alone = [table for name, table in sets.items() if len(name) == 1]
    if len(alone) < 2:
        return {}
    measures = [m for m in OVER_DIGITS if all(m in table for table in alone)]
    means = {m: torch.tensor([table[m][0] for table in alone]) for m in measures}
    return {m: (float(values.mean()), *interval(values)) for m, values in means.items()}


def digits_markdown(known: dict[str, Any]) -> str:
    """What methods do on average over the digits, each forgotten on its own (`over_digits`);
    nothing where none was measured on two."""
    lines = []
    for method, sets in by_set(known).items():
        if table := over_digits(sets):
            cells = [_spread(table.get(m), places) for m, (_, places) in OVER_DIGITS.items()]
            digits = sum(len(name) == 1 for name in sets)
            lines.append(_line([title(method), str(digits), *cells]))
    if not lines:
        return ""
    head = ["method", "digits", *(words for words, _ in OVER_DIGITS.values())]
    return "\n".join([_line(head), _line(["---"] * len(head)), *lines])


def sets_markdown(known: dict[str, Any]) -> str:
    """The erasure of each forget set by each method, mean, least and most over its originals, and
    the mean by a harder attacker where one was sent."""
    methods = by_set(known)
    hunted = [m for m, sets in methods.items() if any("harder" in t for t in sets.values())]
    head = ["forgotten"]
    for method in methods:
        head += [title(method), *(["harder"] if method in hunted else [])]
    lines = [_line(head), _line(["---"] * len(head))]
    for name in sorted(known, key=lambda name: (len(name), name)):
        cells = [name]
        for method, sets in methods.items():
            table = sets.get(name, {})
            cells.append(_spread(table.get("erasure"), 2))
            if method in hunted:
                cells.append(_spread(table.get("harder", ())[:1] * 3, 2))
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float] | None, places: int) -> str:
    """Mean, least and most; nothing of nothing."""
    if not values:
        return ""
    mean, low, high = (_number(value, places) for value in values)
    return mean if low == high else f"{mean} ({low} to {high})"


def _number(value: float, places: int) -> str:
    shown = 0.0 if abs(value) < 0.5 * 10**-places else value  # what rounds to it has no sign
    return f"{shown:.{places}f}".replace("-", "−")
