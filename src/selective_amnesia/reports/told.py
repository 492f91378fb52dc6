"""The never-saw test: how well do the features of recorded models tell amnesiacs from controls?

Asked of every feature, and of all that an access sees together, by a linear discriminant that is
learned on models of other seeds than those that it scores (`metrics.distinguish`). Controls against
controls are the floor of the test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..forgetting import RETRAIN
from ..metrics.distinguish import (
    ACCESS,
    Told,
    cross_fitted,
    epsilon_bound,
    told_apart,
    true_positives,
)
from .features import QUERIES, access, is_feature

TOGETHER = "all together"
SPLITS = 100  # of the controls into halves
LEAST = 4  # models of a kind, without which no discriminant is learned

Interval = tuple[float, float, float]  # value, low, high
Numbers = NDArray[np.float64]


def seen_by(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Access -> the features that it adds, of those that every row has."""
    whole = [name for name in rows if is_feature(name) and rows[name].notna().all()]
    return {tier: [name for name in whole if access(name) == tier] for tier in ACCESS}


def told(rows: pd.DataFrame, kind: str, against: str = RETRAIN) -> pd.DataFrame:
    """How well each feature, and all that an access sees, tells models of a kind from those of
    another: AUC with its 95 % interval, the p-value of equivalence; of all together also the true
    positives at 5 % false ones and the lower bound on epsilon. An AUC of a feature below one half
    says that it is smaller in models of the kind. Models of several forget sets are compared
    within their own.
    """
    both = rows[rows["kind"].isin([kind, against]) & rows["failed"].eq("")]
    return _told(both.reset_index(drop=True), (both["kind"] == kind).to_numpy())


def _told(both: pd.DataFrame, first: Any) -> pd.DataFrame:
    strata = _strata(both)
    groups = strata[first], strata[~first]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for tier, names in seen_by(both).items():
        for name in names:
            values = both[name].to_numpy(float)
            feature = name.removeprefix(f"{tier}: ")
            found[tier, feature] = told_apart(values[first], values[~first], groups)._asdict()
        scores = cross_fitted(_together(both, tier), first, both["seed"])
        found[tier, TOGETHER] = told_apart(scores[first], scores[~first], groups)._asdict() | {
            "true positives": true_positives(scores[first], scores[~first]),
            "epsilon": epsilon_bound(scores[first], scores[~first]),
        }
    return pd.DataFrame(found).T.rename_axis(["access", "feature"])


def _strata(rows: pd.DataFrame) -> NDArray[Any]:
    return np.asarray(rows["forget"] + ":" + rows["label"].astype(str))


def _together(both: pd.DataFrame, tier: str) -> Numbers:
    """All features (N, F) that an access sees, less their means in each stratum."""
    by_access = seen_by(both)
    seen = [name for a in ACCESS[: ACCESS.index(tier) + 1] for name in by_access[a]]
    within = both[seen] - both.groupby(_strata(both))[seen].transform("mean")
    features: Numbers = within.to_numpy(float)
    return features


def floor(rows: pd.DataFrame, splits: int = SPLITS, seed: int = 0) -> dict[str, Interval]:
    """Access -> the AUC of one half of the controls against the other: the mean over random halves,
    and what 95 % of them lie within. Nothing where there are too few."""
    controls = rows[rows["kind"].eq(RETRAIN) & rows["failed"].eq("")].reset_index(drop=True)
    seeds, rng = controls["seed"].unique(), np.random.default_rng(seed)
    if len(seeds) < 2 * LEAST:
        return {}
    strata, features = _strata(controls), {tier: _together(controls, tier) for tier in ACCESS}
    found: dict[str, list[float]] = {tier: [] for tier in ACCESS}
    for _ in range(splits):
        half = rng.permutation(seeds)[: len(seeds) // 2]
        first = controls["seed"].isin(half).to_numpy()
        groups = strata[first], strata[~first]
        for tier, values in found.items():
            scores = cross_fitted(features[tier], first, controls["seed"])
            values.append(told_apart(scores[first], scores[~first], groups).auc)
    limits = {tier: np.quantile(values, (0.025, 0.975)) for tier, values in found.items()}
    return {
        tier: (float(np.mean(found[tier])), float(low), float(high))
        for tier, (low, high) in limits.items()
    }


def by_queries(rows: pd.DataFrame, kind: str) -> dict[int, Told]:
    """Images asked for under the label -> how well the judge's mean probability over so many tells
    models of a kind from controls."""
    whole = rows[rows["failed"].eq("")]
    own, controls = (whole[whole["kind"].eq(k)] for k in (kind, RETRAIN))
    groups = _strata(own), _strata(controls)
    return {
        n: told_apart(own[f"judge over {n}"], controls[f"judge over {n}"], groups) for n in QUERIES
    }
