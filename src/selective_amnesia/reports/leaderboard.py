"""The leaderboard: can an auditor tell what a method makes from models that never saw the label?

Of each kind of model in the record (`population`) it is asked, by access, how well all that an
auditor sees together tells its models from controls: the AUC of a cross-fitted linear discriminant
(`metrics.distinguish`). One half is what nobody can tell. Beside it stand two effects, in true
nats:

    erasure  =  (nats moved by the kind) / (nats moved by controls)
    cost     =  kept nats moved by the kind

A model's nats have moved from those of the original of its own seed. Intervals count the draw of
models, of controls, and of images. Controls against controls are the floor of the test, originals
against controls its ceiling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..forgetting import RETRAIN
from ..metrics.distinguish import Told
from .population import ORIGINAL
from .told import LEAST, TOGETHER, Interval, Numbers, told

DRAWS = 2000  # of the bootstrap
RANKED_BY = ("samples", "decoder")


@dataclass(frozen=True)
class Standing:
    """How a kind of model stands. `tiers` is empty where there are too few models."""

    models: int
    failed: int
    tiers: dict[str, Told]
    erasure: Interval
    cost: Interval
    seconds: float


def leaderboard(rows: pd.DataFrame) -> dict[str, Standing]:
    """Kind -> how it stands, the hardest to tell from controls first, ties by how far the erasure
    is from 1; controls and originals last.

    Args:
        rows: of the record, of one forget set.
    """
    kinds = dict.fromkeys(rows["kind"])
    found = {kind: standing(rows, kind) for kind in kinds}
    return dict(sorted(found.items(), key=lambda each: _rank(*each)))


def _rank(kind: str, stands: Standing) -> tuple[float, ...]:
    far = [abs(stands.tiers[tier].auc - 0.5) for tier in RANKED_BY if tier in stands.tiers]
    values = (round(sum(far) / len(far), 2) if far else 1.0, abs(stands.erasure[0] - 1))
    return (kind == ORIGINAL, kind == RETRAIN, *(math.inf if math.isnan(v) else v for v in values))


def standing(rows: pd.DataFrame, kind: str) -> Standing:
    """How one kind stands against the controls among the rows of one forget set."""
    whole = rows[rows["failed"].eq("")]
    own = whole[whole["kind"].eq(kind)]
    controls = whole[whole["kind"].eq(RETRAIN)]
    enough = min(own["seed"].nunique(), controls["seed"].nunique()) >= LEAST
    tiers = {}
    if enough and kind != RETRAIN:
        found = told(whole, kind).xs(TOGETHER, level="feature")
        tiers = {a: Told(*found.loc[a, list(Told._fields)]) for a in found.index}
    erasure, cost = effects(whole, kind)
    failed = rows.loc[rows["kind"].eq(kind) & rows["failed"].ne(""), "seed"].nunique()
    return Standing(
        own["seed"].nunique(), failed, tiers, erasure, cost, float(own["seconds"].mean())
    )


def effects(
    rows: pd.DataFrame, kind: str, draws: int = DRAWS, seed: int = 0
) -> tuple[Interval, Interval]:
    """Erasure and cost of a kind, with 95 % intervals: models and controls are drawn anew, each
    from their own, and the images by the standard error of their mean, which all models share."""
    moved, rng = _moved(rows), np.random.default_rng(seed)

    def drawn(of: str, name: str) -> tuple[float, Numbers]:
        one = moved[moved["kind"].eq(of)]
        values = one.groupby("seed")[name].mean().to_numpy(float)
        if not len(values):
            return math.nan, np.full(draws, math.nan)
        means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
        images = float(one[f"error of {name} moved"].mean())
        return float(values.mean()), means + rng.normal(0, images, draws)

    (own, owns), (never, nevers) = drawn(kind, "nats"), drawn(RETRAIN, "nats")
    cost, costs = drawn(kind, "kept nats")
    return _interval(own / never, owns / nevers), _interval(cost, costs)


def _moved(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of seeds that have an original, with their nats above the original's."""
    key = ["forget", "label", "seed"]
    names = {"decoder: nats": "nats", "decoder: kept nats": "kept nats"}
    own = rows.rename(columns=names)
    originals = own[own["kind"].eq(ORIGINAL)].set_index(key)[list(names.values())]
    both = own.join(originals.add_suffix(" of the original"), on=key, how="inner")
    for name in names.values():
        both[name] -= both[f"{name} of the original"]
    return both


def _interval(value: float, draws: Numbers) -> Interval:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(value), float(low), float(high)
