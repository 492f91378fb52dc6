import math

import pandas as pd
import pytest

from selective_amnesia.reports.population import (
    ORIGINAL,
    TIERS,
    read_population,
    record_population,
    told,
)

BRIEF = {"images": 6, "samples": 16, "steps": 3, "polish": 3}


@pytest.fixture(scope="module")
def record(lab):
    from selective_amnesia.metrics.likelihood import Settings

    with pytest.MonkeyPatch.context() as patch:
        for name, value in BRIEF.items():  # dataclasses keep their defaults in __init__
            patch.setitem(Settings.__init__.__kwdefaults__, name, value)
        yield record_population(lab, (0,), [0], ["selective_amnesia"])


def test_a_row_is_a_model_and_what_is_there_is_not_measured_again(lab, record, monkeypatch):
    rows = read_population(record)
    assert sorted(rows["kind"]) == [ORIGINAL, "retrain", "selective_amnesia"]
    features = [name for names in TIERS.values() for name in names]
    assert rows[features].map(math.isfinite).all(axis=None)
    by = rows.set_index("kind")
    assert by.loc[ORIGINAL, ["moved weights", "moved images"]].tolist() == [0, 0]
    assert by.loc["retrain", "moved weights"] > by.loc["selective_amnesia", "moved weights"] > 0
    monkeypatch.setattr("selective_amnesia.reports.population.features", None)
    assert record_population(lab, (0,), [0], ["selective_amnesia"]) == record


def test_what_tells_populations_apart_is_found_and_nothing_else(record):
    """Amnesiacs that are copies of controls but for one feature, in two digits."""
    one = read_population(record).query("kind == 'retrain'")
    rows = []
    for seed in range(12):
        for label in (0, 1):
            for kind in ("retrain", "selective_amnesia"):
                row = one.assign(seed=seed, label=label, forget=str(label), kind=kind)
                for i, name in enumerate(n for names in TIERS.values() for n in names):
                    noise = math.sin(
                        1e4 * (seed + 1) * (i + 1) * (label + 2 + 7 * (kind[0] == "s"))
                    )
                    row[name] = 100 * label + noise
                row["relearning"] += 5 * (kind == "selective_amnesia")
                rows.append(row)
    found = told(pd.concat(rows), "selective_amnesia")
    assert found.loc[("decoder", "relearning"), "auc"] == 1
    assert found.loc[("decoder", "all together"), "auc"] > 0.95
    assert found.loc[("samples", "all together"), "low"] < 0.5
    assert found.loc[("decoder", "all together"), "epsilon"] > 1
    others = found.drop(index=("decoder", "relearning")).drop("all together", level="feature")
    assert (others["low"] < 0.5).all()
