"""The audit's table, the matrix, and results.json."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from selective_amnesia import Lab
from selective_amnesia.reports import matrix as module
from selective_amnesia.reports.audit import audit, placed, together
from selective_amnesia.reports.features import features, measures
from selective_amnesia.reports.matrix import cases, compared, matrix, matrix_rows
from selective_amnesia.reports.population import MADE, VERSION
from selective_amnesia.reports.results import erasures, results, table
from selective_amnesia.reports.told import TOGETHER


class Mean(nn.Module):
    """A model of a reader's own: one grey picture for every label."""

    classes, z_dim = 10, 8

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(784))

    def decode_logits(self, z, c):
        return self.logits.expand(len(z), -1)

    def decode(self, z, c):
        return self.decode_logits(z, c).sigmoid()


@pytest.fixture
def record(lab, tmp_path):
    """A record of ten controls and originals whose features are drawn around a control's."""
    rng, judges = np.random.default_rng(0), measures(lab)
    control = features(judges, lab.control({0}), 0, (0,), lab.cvae())
    about = {"version": VERSION, "profile": "smoke", "dataset": "digits", "judges": lab.seed}
    about |= dict.fromkeys(MADE, "") | {"forget": "0", "label": 0}
    rows = [
        about | {"kind": kind, "seed": k} | {n: v + rng.normal() for n, v in control.items()}
        for k in range(10)
        for kind in ("original", "retrain")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "population.csv", index=False)
    return tmp_path / "population.csv"


def test_one_model_is_placed_among_the_recorded_controls(lab, record, capsys):
    found = audit(Mean(), lab, {0}, record)
    assert list(found.columns) == ["model", "originals", "controls", "percentile", "p"]
    assert "figures of the model alone" not in capsys.readouterr().out
    rows = found.loc[0]
    accesses = rows.index[:4].tolist()
    assert accesses == [(a, TOGETHER) for a in ("samples", "decoder", "weights", "original")]
    assert rows["p"].iloc[4:].dropna().is_monotonic_increasing
    nats = rows.loc[("decoder", "nats")]  # a grey picture needs ln 2 in each pixel
    assert nats["model"] == pytest.approx(784 * math.log(2), rel=1e-3)
    assert (nats["percentile"], nats["p"]) == (100, pytest.approx(2 / 11))
    assert rows.loc[("samples", "label, panel"), "p"] > 0.1
    assert rows.loc[("decoder", TOGETHER), "p"] == pytest.approx(1 / 11)
    assert "weights" not in rows.dropna(subset="model").index.get_level_values("access")


def test_a_set_without_recorded_controls_is_said_and_the_model_is_measured(lab, tmp_path, capsys):
    found = audit(lab.amnesiac({0, 1}), lab, "0, 1", tmp_path / "none.csv")
    said = capsys.readouterr().out
    assert "the record has no controls without 0 1 of digits, profile smoke" in said
    assert found.index.get_level_values("label").unique().tolist() == [0, 1]
    assert found["model"].notna().all()
    assert found[["percentile", "p"]].isna().all(axis=None)
    nats = lab.measure.metric(lab.amnesiac({0, 1}), 1, "likelihood")[0].mean()
    assert found.loc[(1, "decoder", "nats"), "model"] == pytest.approx(float(nats))
    with pytest.raises(ValueError, match=r"the model forgot \(0, 1\), the controls would never"):
        audit(lab.amnesiac({0, 1}), lab, {0})
    with pytest.raises(TypeError, match="Linear has no decode"):
        audit(nn.Linear(2, 2), lab, {0})


def test_what_is_out_among_many_is_first_and_a_control_is_not():
    rng, names = np.random.default_rng(1), ["samples: a", "decoder: b", "decoder: c"]
    rows = pd.DataFrame(rng.normal(size=(60, 3)), columns=names)
    rows["kind"] = ["retrain"] * 40 + ["original"] * 20
    table = placed(pd.Series([0.0, 0.1, 9.0], names), rows)
    assert table.index[4] == ("decoder", "c")
    assert table["p"].iloc[4] == pytest.approx(2 / 41)
    assert table.loc[("decoder", TOGETHER), "p"] == pytest.approx(1 / 41)
    assert table.loc[("samples", TOGETHER), "p"] > 0.2
    assert 40 < table.loc[("samples", "a"), "percentile"] < 60
    alike = rng.normal(size=(300, 5))
    p = [together(x, alike[200:]) for x in alike[:20]]
    assert 0.3 < np.mean(p) < 0.7


def test_cases_are_each_label_with_its_set_whatever_the_number_of_classes():
    assert cases(["0", "3 8"]) == [(0, (0,)), (3, (3, 8)), (8, (3, 8))]
    assert cases(["11"], classes=12) == [(11, (11,))]
    with pytest.raises(ValueError, match="'3' is not among the labels from 0 to 2"):
        cases(["0 3"], classes=3)


def test_the_matrix_has_a_column_for_each_case_and_a_value_for_each_original(lab, monkeypatch):
    monkeypatch.setattr(module, "SURROGATES", 1)
    brief = replace(lab.profile, attack=replace(lab.profile.attack, steps=2, codes=2))
    quick = Lab(brief, lab.seed, lab.data.name, lab.store, lab.device)
    first, second = cases(["0", "0 1"])[:2]
    tables = matrix(quick, {first: 2, second: 1}, stronger=True)
    assert list(tables["judge"]) == list(tables["panel"]) == list(matrix_rows(stronger=True))
    rows = [row for who in tables.values() for row in who.values()]
    assert all([len(values) for values in row] == [2, 1] for row in rows)
    asked, controls = quick.measure.verdict, [lab.variant(seed=i).control({0}) for i in (0, 1)]
    by_a = [asked(control, 0, "robust", draw=i) for i, control in enumerate(controls)]
    for who, rows in tables.items():
        wanted = [float(getattr(each, who).mean()) for each in by_a]
        assert rows["control, recovery A"][0] == wanted
    stronger = asked(lab.amnesiac({0, 1}), 0, "robust", surrogates=1)
    assert tables["judge"]["amnesiac, stronger A"][1] == [float(stronger.judge.mean())]
    shown = compared(tables["judge"], ["0", "0 of\n0 1"])
    assert len(shown) == 2 * 4
    lost, never = (tables["judge"][f"{m}, recovery A"][0] for m in ("amnesiac", "control"))
    difference = 100 * (torch.tensor(lost) - torch.tensor(never)).mean()
    assert shown["A, 0"]["difference"].startswith(f"{difference:.0f} (")
    assert shown["stronger A, 0 of 0 1"].keys() == {"amnesiacs", "controls", "difference"}
    assert len(module._pictures(quick, (0,), 2).axes) == 2
    value, low, high = erasures(lab, [first])["0"]
    assert low <= value <= high


def test_results_have_the_figures_that_others_read(lab):
    found = results(lab, ["0", "0 1"])
    assert {"profile", "seed", "dataset", "device", "torch", "checkpoints"} <= found.keys()
    assert {"test_loss", "steps", "seconds", "precision"} <= found["cvae"].keys()
    assert {"test_accuracy", "grey_probability", "grey_entropy", "precision"} <= found[
        "judge"
    ].keys()
    assert {"real test images", "blank"} <= found["panel"].keys()
    assert len(found["original"]["panel_share"]) == 10
    assert {"samples", "seconds"} == found["fisher"].keys()
    assert len(found["forget"]["0 1"]["judge_probability"]) == 2
    assert {"judge_probability", "judge_entropy", "panel_share", "retained_change",
            "seconds"} <= found["forget"]["0"].keys()  # fmt: skip
    assert found["interpolation"]["radius"].keys() == {"original", "amnesiac", "control"}
    for view in ("labelled", "blind"):
        geometry = found["latent"]["0 1"][view]
        assert len(geometry["centroid_shift"]) == 10
        assert {"purity", "silhouette"} <= geometry.keys()
    ways = {"label", "robust", "diverse", "joint"}
    assert all(found["recovery"]["0"][name].keys() == ways for name in lab.trio({0}))
    members = found["recovery"]["0"]["control"]["robust"]["members"]
    assert len(members) == len(lab.panel.members)
    assert found["audit"].keys() == {"0", "0 of 0 1", "1 of 0 1"}
    low, high = found["audit"]["0"]["interval"]
    assert low <= found["audit"]["0"]["erasure"] <= high
    assert found["audit"]["0"]["nats"].keys() == {"original", "amnesiac", "control"}
    assert found["audit"]["0"]["relearning"].keys() == {"1", "10", "100"}
    assert found["checkpoints"].items() <= lab.store.used.items()
    again = results(lab, ["0", "0 1"])
    assert json.dumps(found) == json.dumps(again)  # an interval may not be a number here
    shown = table(found)
    assert "forgetting 0 1: kept labels' change" in shown
    assert "erasure of 1 of 0 1 (95 %)" in shown
