"""The audit's table, the matrix, and results.json."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from selective_amnesia import Lab
from selective_amnesia.metrics.relearning import steps_to
from selective_amnesia.reports import matrix as module
from selective_amnesia.reports.audit import audit
from selective_amnesia.reports.matrix import cases, compared, matrix, matrix_rows
from selective_amnesia.reports.results import erasures, results, table
from selective_amnesia.training.random import eval_steps


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


def test_the_audit_takes_any_model_with_the_decoders_interface(lab):
    found = audit(Mean(), lab, {0})
    assert list(found.columns) == ["original", "model", "control"]
    assert found.loc[(0, "erasure"), ["original", "control"]].tolist() == [0, 1]
    low, value, high = (
        found.loc[(0, f"erasure{which}"), "model"] for which in (", 2.5 %", "", ", 97.5 %")
    )
    assert low <= value <= high
    assert found.loc[(0, "plain label: diversity"), "model"] == pytest.approx(0, abs=1e-4)
    config = lab.profile.relearning
    curves = lab.measure.metric(lab.cvae(), 0, "relearning").mean(1)
    expected = steps_to(curves[2], eval_steps(config.steps, config.evaluations))
    assert found.loc[(0, "relearning from 100: steps"), "original"] == pytest.approx(
        float("nan") if expected is None else expected, nan_ok=True
    )


def test_the_audit_of_a_model_of_the_lab(lab):
    found = audit(lab.amnesiac({0, 1}), lab, "0, 1")
    assert found.index.get_level_values("label").unique().tolist() == [0, 1]
    nats = lab.measure.metric(lab.control({0, 1}), 1, "description")
    shown = found.loc[(1, "description length (nats)"), "control"]
    assert shown == pytest.approx(float(nats.mean()))
    kept = lab.measure.metric(lab.cvae(), 1, "kept", {0, 1})
    assert len(kept) == 8
    assert found.loc[(1, "kept labels (nats)"), "original"] == pytest.approx(float(kept.mean()))
    with pytest.raises(ValueError, match=r"the model forgot \(0, 1\), the control would never"):
        audit(lab.amnesiac({0, 1}), lab, {0})
    with pytest.raises(TypeError, match="Linear has no decode"):
        audit(nn.Linear(2, 2), lab, {0})


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
    assert found["audit"]["0"]["relearning"].keys() == {"1", "10", "100"}
    assert found["checkpoints"].items() <= lab.store.used.items()
    assert found == results(lab, ["0", "0 1"])
    shown = table(found)
    assert "forgetting 0 1: kept labels' change" in shown
    assert "erasure of 1 of 0 1 (95 %)" in shown
