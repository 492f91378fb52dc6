"""The audit's table, the matrix, and results.json."""

import pytest
import torch
from torch import nn

from selective_amnesia.metrics.relearning import steps_to
from selective_amnesia.reports.audit import audit
from selective_amnesia.reports.matrix import cases, matrix, matrix_rows
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


def test_the_matrix_has_a_column_for_each_case(lab):
    tables = matrix(lab, cases(["0"]))
    assert list(tables["judge"]) == list(tables["referee"]) == list(matrix_rows())
    by_a = lab.measure.verdict(lab.control({0}), 0, "robust")
    assert tables["referee"]["control, recovery A"] == [float(by_a.referee.mean())]
    value, low, high = erasures(lab, cases(["0"]))["0"]
    assert low <= value <= high


def test_results_have_the_figures_that_others_read(lab):
    found = results(lab, ["0", "0 1"])
    assert {"profile", "seed", "dataset", "device", "torch", "checkpoints"} <= found.keys()
    assert {"test_loss", "steps", "seconds", "precision"} <= found["cvae"].keys()
    assert {"test_accuracy", "grey_probability", "grey_entropy", "precision"} <= found[
        "judge"
    ].keys()
    assert {"test_accuracy", "noise_rejected", "blends_rejected", "images_kept"} <= found[
        "referee"
    ].keys()
    assert len(found["original"]["referee_probability"]) == 10
    assert {"samples", "seconds"} == found["fisher"].keys()
    assert len(found["forget"]["0 1"]["judge_probability"]) == 2
    assert {"judge_probability", "judge_entropy", "referee_probability", "retained_change",
            "seconds"} <= found["forget"]["0"].keys()  # fmt: skip
    assert found["interpolation"]["radius"].keys() == {"original", "amnesiac", "control"}
    for view in ("labelled", "blind"):
        geometry = found["latent"]["0 1"][view]
        assert len(geometry["centroid_shift"]) == 10
        assert {"purity", "silhouette"} <= geometry.keys()
    ways = {"label", "robust", "diverse", "joint"}
    assert all(found["recovery"]["0"][name].keys() == ways for name in lab.trio({0}))
    assert found["audit"].keys() == {"0", "0 of 0 1", "1 of 0 1"}
    low, high = found["audit"]["0"]["interval"]
    assert low <= found["audit"]["0"]["erasure"] <= high
    assert found["audit"]["0"]["relearning"].keys() == {"1", "10", "100"}
    assert found["checkpoints"].items() <= lab.store.used.items()
    assert found == results(lab, ["0", "0 1"])
    shown = table(found)
    assert "forgetting 0 1: kept labels' change" in shown
    assert "erasure of 1 of 0 1 (95 %)" in shown
