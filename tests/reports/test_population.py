import math

import pandas as pd
import pytest

from selective_amnesia.errors import LabError
from selective_amnesia.reports.population import (
    ORIGINAL,
    TIERS,
    read_population,
    record_population,
    told,
)


@pytest.fixture(scope="module")
def record(lab):
    return record_population(lab, (0,), [0], ["selective_amnesia"])


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


def test_a_method_that_does_not_exist_is_refused_before_anything_is_made(lab, monkeypatch):
    monkeypatch.setattr("selective_amnesia.reports.population.features", None)
    with pytest.raises(ValueError, match="method 'forgett' is unknown"):
        record_population(lab, (0,), [3], ["forgett"])


def test_another_profile_s_rows_are_not_taken_for_this_one_s(lab, record, monkeypatch):
    content = record.read_text()
    try:
        record.write_text(content.replace("smoke", "fast"))
        asked = []
        monkeypatch.setattr(
            "selective_amnesia.reports.population.features", lambda *how: asked.append(how) or []
        )
        record_population(lab, (0,), [0], [])
        assert [kind for *_, kind in asked] == [ORIGINAL, "retrain"]
    finally:
        record.write_text(content)


def test_a_damaged_record_is_named_and_left(lab, tmp_path):
    path = tmp_path / "population.csv"
    path.write_text("seed,kind\n1,retrain\n")
    with pytest.raises(LabError, match="no record of populations"):
        read_population(path)
    assert path.read_text() == "seed,kind\n1,retrain\n"
