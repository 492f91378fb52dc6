"""The never-saw test on rows with planted differences."""

import math

import numpy as np
import pandas as pd
import pytest

from selective_amnesia.metrics.distinguish import told_apart
from selective_amnesia.reports.told import LEAST, TOGETHER, by_queries, floor, seen_by, told

NAMES = [
    *("samples: label, panel", "samples: kept, judge", "decoder: nats", "decoder: relearning"),
    *("weights: encoder, KL", "original: moved weights"),
]


def population(models: int, kinds, labels=(0,), seed=0) -> pd.DataFrame:
    """Rows of `models` of each kind, whose features are noise around the label's."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in labels:
        for kind in kinds:
            for k in range(models):
                row = {"forget": str(label), "label": label, "kind": kind, "seed": k, "failed": ""}
                rows.append(row | {n: 100 * label + rng.normal() for n in NAMES})
    return pd.DataFrame(rows)


def test_what_tells_populations_apart_is_found_and_nothing_else():
    """Amnesiacs that are copies of controls but for one feature, in two digits."""
    rows = population(12, ("retrain", "salun"), labels=(0, 1))
    rows.loc[rows["kind"].eq("salun"), "decoder: relearning"] += 7
    found = told(rows, "salun")
    assert found.loc[("decoder", "relearning"), "auc"] == 1
    assert found.loc[("decoder", TOGETHER), "auc"] > 0.95
    assert found.loc[("original", TOGETHER), "auc"] > 0.95
    assert found.loc[("samples", TOGETHER), "low"] < 0.5
    assert found.loc[("decoder", TOGETHER), "epsilon"] > 1
    others = found.drop(index=("decoder", "relearning")).drop(TOGETHER, level="feature")
    assert (others["low"] < 0.5).all()
    assert (others["high"] > 0.5).all()


def test_failed_models_and_features_that_some_rows_lack_are_left_out():
    rows = population(6, ("retrain", "salun"))
    rows["decoder: attack new, panel"] = [math.nan, *range(len(rows) - 1)]
    failed = population(1, ("salun",)).assign(failed="the loss became nan")
    failed[NAMES] = math.nan
    found = told(pd.concat([rows, failed]), "salun")
    assert "attack new, panel" not in found.index.get_level_values("feature")
    assert seen_by(rows)["decoder"] == ["decoder: nats", "decoder: relearning"]
    assert found["auc"].notna().all()


def test_controls_are_not_told_from_controls():
    rows = population(40, ("retrain",))
    for value, low, high in floor(rows, splits=20).values():
        assert low < 0.5 < high
        assert value == pytest.approx(0.5, abs=0.1)
    assert floor(population(2 * LEAST - 1, ("retrain",))) == {}


def test_more_images_tell_more():
    rows, rng = population(30, ("retrain", "salun")), np.random.default_rng(1)
    for n in (1, 10, 100, 1000):
        rows[f"judge over {n}"] = rows["kind"].eq("salun") + rng.normal(size=60) * 5 / n**0.5
    found = by_queries(rows, "salun")
    assert [*found] == [1, 10, 100, 1000]
    assert 0.3 < found[1].auc < 0.8 < found[1000].auc == 1
    values = rows.set_index("kind")["judge over 10"]
    assert found[10] == told_apart(values["salun"], values["retrain"])
