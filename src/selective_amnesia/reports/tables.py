"""The leaderboard as tables: means over the originals, with the least and the most of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from ..attacks import ATTACKS
from ..forgetting import METHODS, RETRAIN, title
from ..metrics import METRICS
from ..metrics.statistics import interval

WORDS = {  # measure -> its words, and to how many places
    "gap": ("gap", 2),
    "erasure": ("erasure", 2),
    "harder": ("erasure by a stronger attacker", 2),
    "harder_gap": ("gap by that", 2),
    "cost": ("kept labels' cost (nats)", 2),
    "label": ("seen under the label", 3),
    "relearning": ("relearning above the controls'", 2),
}
Table = dict[str, tuple[float, float, float]]  # measure -> mean, least and most


def ranked(found: Mapping[str, Any]) -> list[tuple[str, Table | None]]:
    """The rows by their gap, failures last: a method, and of each measure mean, least and most over
    the seeds; where a stronger attacker was sent the gap is also given by what it found."""
    rows: list[tuple[str, Table | None]] = []
    for method, row in found["rows"].items():
        by_seed = [seed | _harder_gap(seed) for seed in row["seeds"].values()]
        if "failed" in row or not by_seed:
            rows.append((method, None))
            continue
        table: Table = {}
        for name in by_seed[0]:
            values = [seed[name] for seed in by_seed if seed.get(name) is not None]
            if values:
                table[name] = (statistics.mean(values), min(values), max(values))
        rows.append((method, table))
    return sorted(rows, key=lambda row: _gap(row[1]))


def _gap(table: Table | None) -> float:
    """The mean gap; what has none comes last."""
    mean = math.inf if table is None or "gap" not in table else table["gap"][0]
    return math.inf if math.isnan(mean) else mean


def _harder_gap(row: Mapping[str, Any]) -> dict[str, float]:
    if row.get("harder") is None:
        return {}
    return {"harder_gap": row["gap"] - abs(row["erasure"] - 1) + abs(row["harder"] - 1)}


def board(found: Mapping[str, Any]) -> pd.DataFrame:
    """The leaderboard of one forget set, as words: a row a method, a column a measure."""
    rows = ranked(found)
    shown = {m: w for m, w in WORDS.items() if not m.startswith("harder")}
    shown |= {f"after {a}": (f"after attack {t}", 2) for a, t in ATTACKS.titles().items()}
    shown = {m: (METRICS.title(m), 2) for m in METRICS} | shown
    shown = {m: w for m, w in shown.items() if any(m in (table or {}) for _, table in rows)}
    there = {m: shown[m] for m in [*WORDS, *shown] if m in shown}  # ours first
    cells = {
        title(method): {words: _spread(table.get(m), n) for m, (words, n) in there.items()}
        | {"seconds": f"{table['seconds'][0]:.0f}" if "seconds" in table else ""}
        if table
        else {next(iter(there.values()))[0]: "diverged"}
        for method, table in rows
    }
    return _frame(cells, "method")


def by_set(known: Mapping[str, Any]) -> dict[str, dict[str, Table]]:
    """Method -> forget set -> measures as in `ranked`, of the methods that are known for more than
    one set; those that come nearest first (`over_labels`)."""
    tables = {name: dict(ranked(found)) for name, found in sorted(known.items())}
    methods = dict.fromkeys([RETRAIN, *METHODS, *(m for t in tables.values() for m in t)])
    each: dict[str, dict[str, Table]] = {}
    for method in methods:
        sets = {name: table[method] for name, table in tables.items() if table.get(method)}
        if len(sets) > 1:
            each[method] = {name: table for name, table in sets.items() if table is not None}
    return {
        method: each[method] for method in sorted(each, key=lambda m: _gap(over_labels(each[m])))
    }


def over_labels(sets: Mapping[str, Table]) -> Table:
    """A method's mean measures over labels that were forgotten each on its own, with 95 % bootstrap
    intervals over the labels; nothing where there are fewer than two."""
    alone = [table for name, table in sets.items() if len(name.split()) == 1]
    if len(alone) < 2:
        return {}
    measures = [m for m in WORDS if all(m in table for table in alone)]
    means = {m: torch.tensor([table[m][0] for table in alone]) for m in measures}
    return {m: (float(values.mean()), *interval(values)) for m, values in means.items()}


def over_labels_board(known: Mapping[str, Any]) -> pd.DataFrame:
    """What methods do on average over the labels, each forgotten on its own (`over_labels`)."""
    cells = {}
    for method, sets in by_set(known).items():
        if table := over_labels(sets):
            number = str(sum(len(name.split()) == 1 for name in sets))
            shown = {words: _spread(table.get(m), n) for m, (words, n) in WORDS.items()}
            cells[title(method)] = {"labels": number} | shown
    return _frame(cells, "method")


def sets_board(known: Mapping[str, Any]) -> pd.DataFrame:
    """The erasure of each forget set by each method, mean, least and most over its originals, and
    the mean by a stronger attacker where one was sent."""
    methods = by_set(known)
    cells: dict[str, dict[str, str]] = {}
    for name in sorted(known, key=lambda name: (len(name.split()), name)):
        cells[name] = {}
        for method, sets in methods.items():
            table = sets.get(name, {})
            cells[name][title(method)] = _spread(table.get("erasure"), 2)
            if any("harder" in t for t in sets.values()):
                harder = table.get("harder", ())[:1] * 3
                cells[name][f"{title(method)}, stronger"] = _spread(harder, 2)
    return _frame(cells, "forgotten")


def _frame(cells: Mapping[str, Mapping[str, str]], index: str) -> pd.DataFrame:
    return pd.DataFrame.from_dict(cells, orient="index").fillna("").rename_axis(index)


def _spread(values: Sequence[float] | None, places: int) -> str:
    """Mean, least and most; nothing of nothing."""
    if not values:
        return ""
    mean, low, high = (_number(value, places) for value in values)
    return mean if low == high else f"{mean} ({low} to {high})"


def _number(value: float, places: int) -> str:
    if math.isnan(value):
        return "n/a"
    shown = 0.0 if abs(value) < 0.5 * 10**-places else value  # what rounds to it has no sign
    return f"{shown:.{places}f}".replace("-", "−")
