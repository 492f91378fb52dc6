"""The never-saw test and the leaderboard as tables of words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..data import DATASETS
from ..forgetting import RETRAIN, title
from ..lab.lab import Lab
from ..metrics.distinguish import ACCESS, Told
from .leaderboard import Standing, leaderboard
from .matrix import ForgetSet
from .population import like, read_population
from .told import TOGETHER, Interval, floor

COLUMNS = {  # of an effect its words, and to how many places
    "erasure": ("erasure", 2),
    "cost": ("kept labels' cost (nats)", 2),
}


def columns(stands: Standing) -> dict[str, Interval]:
    """The intervals of one kind: those of the tiers that are known, and the effects."""
    tiers = {tier: (told.auc, told.low, told.high) for tier, told in stands.tiers.items()}
    return tiers | {"erasure": stands.erasure, "cost": stands.cost}


def board(
    standings: Mapping[str, Standing], floor: Mapping[str, Interval] | None = None
) -> pd.DataFrame:
    """The leaderboard of one forget set: a row a kind, a column an access or an effect, of those
    that are known of any.

    Args:
        floor: what stands in the controls' row for the accesses.
    """
    cells = {}
    for kind, stands in standings.items():
        found = columns(stands) | (dict(floor or {}) if kind == RETRAIN else {})
        row = {f"AUC, {tier}": interval(found.get(tier)) for tier in ACCESS}
        row |= {words: interval(found.get(name), n) for name, (words, n) in COLUMNS.items()}
        row["models"] = str(stands.models) + (
            f", {stands.failed} diverged" if stands.failed else ""
        )
        row["seconds"] = "" if math.isnan(stands.seconds) else f"{stands.seconds:.0f}"
        cells[title(kind)] = row
    table = pd.DataFrame.from_dict(cells, orient="index").rename_axis("kind")
    return table.loc[:, table.ne("").any()]


def sets_board(found: Mapping[str, Mapping[str, Standing]]) -> pd.DataFrame:
    """Forget set -> its leaderboard: a row a kind and set, of kinds that there are of several."""
    kinds = [kind for each in found.values() for kind in each]
    several = [k for k in dict.fromkeys(kinds) if kinds.count(k) > 1 and k != RETRAIN]
    rows = []
    for name, each in found.items():
        for kind, row in board({k: each[k] for k in each if k in several}).iterrows():
            rows.append({"forgotten": name, "kind": kind} | row.to_dict())
    return pd.DataFrame(rows).drop(columns="seconds", errors="ignore").fillna("")


def named(rows: pd.DataFrame, forgotten: str) -> str:
    """A forget set of the record in words, where the classes have names of their own."""
    names = getattr(DATASETS[rows["dataset"].iloc[0]], "NAMES", None)
    return forgotten if names is None else ", ".join(names[int(k)] for k in forgotten.split())


def said(lab: Lab, forget: ForgetSet, record: Path) -> str:
    """The leaderboard of a forget set as the lab's record has it."""
    rows = like(lab, read_population(record), forget)
    return str(board(leaderboard(rows), floor(rows)).to_string())


def features_board(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Words -> what `told` says of a kind: a row a feature, a column a kind."""
    columns = {
        words: table.apply(lambda row: interval((row["auc"], row["low"], row["high"])), axis=1)
        for words, table in found.items()
    }
    return pd.DataFrame(columns).rename_axis(["access", "feature"])


def tiers_board(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Words -> what `told` says of a kind: a row a kind and access, all features together; the true
    positives at 5 % false ones, a lower bound on epsilon, the p-value of equivalence."""
    shown = ["true positives", "epsilon", "equivalence"]
    whole = {
        words: table.xs(TOGETHER, level="feature")[shown].map(number)
        for words, table in found.items()
    }
    return pd.concat(whole, names=["kind", "access"]).reset_index()


def queries_board(found: Mapping[str, Mapping[int, Told]]) -> pd.DataFrame:
    """Words -> `by_queries` of a kind: a row a kind, a column a number of images."""
    cells = {
        words: {f"{n:,}": interval(told[:3]) for n, told in each.items()}
        for words, each in found.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis("images")


def interval(found: Interval | None, places: int = 2) -> str:
    """Value and interval; nothing of nothing."""
    if found is None or math.isnan(found[0]):
        return ""
    value, low, high = (number(each, places) for each in found)
    return value if low == high else f"{value} ({low} to {high})"


def number(value: float, places: int = 2) -> str:
    """A number with a minus sign; what rounds to nought has none."""
    if math.isnan(value):
        return "n/a"
    shown = 0.0 if abs(value) < 0.5 * 10**-places else value
    return f"{shown:.{places}f}".replace("-", "−")
