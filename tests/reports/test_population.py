"""The record of populations, and the features of a model."""

import copy
import math

import pytest
import torch

from selective_amnesia import Diverged, Lab
from selective_amnesia.attacks import ATTACKS
from selective_amnesia.errors import LabError
from selective_amnesia.metrics import METRICS
from selective_amnesia.models.classifiers import probabilities
from selective_amnesia.reports import features as module
from selective_amnesia.reports.features import (
    NAMED,
    QUERIES,
    features,
    is_feature,
    measures,
    of_plugins,
)
from selective_amnesia.reports.population import (
    MODEL,
    ORIGINAL,
    VERSION,
    read_population,
    record_population,
)


@pytest.fixture(scope="module", autouse=True)
def brief():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SAMPLES", 10)
        patch.setattr(module, "ENCODED", 20)
        yield


@pytest.fixture(scope="module")
def record(lab):
    return record_population(lab, (0,), [0], ["selective_amnesia"])


# --- features ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(lab):
    judges, original = measures(lab), lab.cvae()
    models = {"original": original, "amnesiac": lab.amnesiac({0}), "control": lab.control({0})}
    return {name: features(judges, m, 0, (0,), original) for name, m in models.items()}


def test_every_attack_and_metric_is_among_the_features(seen):
    names = {name for name in seen["amnesiac"] if is_feature(name)}
    assert set(of_plugins()) <= names
    for title in ATTACKS.titles().values():
        assert {f"decoder: attack {title}, {who}" for who in ("panel", "judge")} <= names
    assert {f"decoder: {METRICS.title(m)}" for m in METRICS if m not in NAMED} <= names
    assert {f"decoder: relearning from {k}" for k in (1, 10, 100)} <= names
    assert not [name for name in names if "error" in name or "over" in name]
    assert all(math.isfinite(value) for each in seen.values() for value in each.values())


def test_features_are_means_of_what_the_lab_measures(lab, seen):
    brief, amnesiac = measures(lab), lab.amnesiac({0})
    found = seen["amnesiac"]
    nats = brief.measure.metric(amnesiac, 0, "likelihood")[0]
    assert found["decoder: nats"] == pytest.approx(float(nats.mean()))
    assert found["error of nats"] == pytest.approx(float(nats.std()) / len(nats) ** 0.5)
    before = brief.measure.metric(lab.cvae(), 0, "likelihood", {0})[0]
    spread = float((nats - before).std()) / len(nats) ** 0.5
    assert found["error of nats moved"] == pytest.approx(spread, rel=1e-4)
    attacked = brief.measure.verdict(amnesiac, 0, "robust")
    assert found["decoder: attack A, judge"] == pytest.approx(float(attacked.judge.mean()))
    assert found["samples: label, panel"] == float(brief.measure.verdict(amnesiac, 0).panel.mean())
    z, c = lab.latent.codes(QUERIES[-1]), torch.eye(10)[[0] * QUERIES[-1]]
    first = probabilities(lab.judge(), amnesiac.decode(z, c))[:10, 0].mean()
    assert found["judge over 10"] == pytest.approx(float(first), rel=1e-4)


def test_the_original_has_not_moved_and_a_control_moved_further_than_an_amnesiac(seen):
    moved = {name: each["original: moved weights"] for name, each in seen.items()}
    assert moved["original"] == seen["original"]["original: moved images"] == 0
    assert seen["original"]["error of nats moved"] == 0
    assert moved["control"] > moved["amnesiac"] > 0


def test_a_decoder_alone_has_what_can_be_asked_of_a_decoder(lab):
    class Decoder(torch.nn.Module):
        classes, z_dim = 10, 8

        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def decode_logits(self, z, c):
            return self.layers(torch.cat([z, c], 1))

        def decode(self, z, c):
            return self.decode_logits(z, c).sigmoid()

    layers = copy.deepcopy(lab.amnesiac({0}).decoder)
    found = features(measures(lab), Decoder(layers), 0, (0,), lab.cvae())
    assert not [name for name in found if name.startswith("weights: ")]
    assert found["original: moved weights"] > 0
    assert set(of_plugins()) <= found.keys()


# --- the record ----------------------------------------------------------------------------------


def test_a_row_is_a_model_and_what_is_there_is_not_measured_again(lab, record, monkeypatch):
    rows = read_population(record)
    assert sorted(rows["kind"]) == [ORIGINAL, "retrain", "selective_amnesia"]
    seen = [name for name in rows if is_feature(name)]
    assert rows[seen].map(math.isfinite).all(axis=None)
    assert rows["seconds"].gt(0).all()
    assert rows["failed"].eq("").all()
    assert rows["judges"].eq(lab.seed).all()
    assert not rows.duplicated(MODEL).any()
    monkeypatch.setattr("selective_amnesia.reports.population.features", None)
    assert record_population(lab, (0,), [0], ["selective_amnesia"]) == record


def asked_again(lab, monkeypatch):
    """The kinds that a lab measures for the record."""
    asked = []
    monkeypatch.setattr(
        "selective_amnesia.reports.population.measured",
        lambda _lab, _seed, _forget, kind: asked.append(kind) or [],
    )
    monkeypatch.setattr("selective_amnesia.reports.population._add", lambda *_rows: 0)
    record_population(lab, (0,), [0], [])
    return asked


@pytest.mark.parametrize(
    ("then", "now"), [("smoke", "fast"), (f"\n{VERSION},", f"\n{VERSION - 1},")]
)
def test_another_profile_s_or_version_s_rows_are_not_taken(lab, record, monkeypatch, then, now):
    content = record.read_text()
    try:
        record.write_text(content.replace(then, now))
        assert asked_again(lab, monkeypatch) == [ORIGINAL, "retrain"]
    finally:
        record.write_text(content)


def test_what_another_panel_looked_at_is_not_taken(lab, record, monkeypatch):
    assert asked_again(lab, monkeypatch) == []
    assert asked_again(lab.variant(seed=1), monkeypatch) == [ORIGINAL, "retrain"]


def test_with_a_new_attack_models_are_measured_again(lab, record, monkeypatch):
    monkeypatch.setattr(
        "selective_amnesia.reports.population.of_plugins", lambda: ["decoder: attack new, panel"]
    )
    assert asked_again(lab, monkeypatch) == [ORIGINAL, "retrain"]


def test_a_method_that_fails_is_recorded_as_it_failed(lab, record, monkeypatch):
    def fails(self, forget, method, **changes):
        raise Diverged("the loss became nan")

    content = record.read_text()
    try:
        monkeypatch.setattr(Lab, "amnesiac", fails)
        record_population(lab, (0,), [0], ["naive"])
        rows = read_population(record)
        assert rows.set_index("kind").loc["naive", "failed"] == "the loss became nan"
        monkeypatch.setattr("selective_amnesia.reports.population.measured", None)
        record_population(lab, (0,), [0], ["naive"])
    finally:
        record.write_text(content)


def test_a_method_that_does_not_exist_is_refused_before_anything_is_made(lab, monkeypatch):
    monkeypatch.setattr("selective_amnesia.reports.population.measured", None)
    with pytest.raises(ValueError, match="method 'forgett' is unknown"):
        record_population(lab, (0,), [3], ["forgett"])


def test_a_damaged_record_is_named_and_left(tmp_path):
    path = tmp_path / "population.csv"
    path.write_text("seed,kind\n1,retrain\n")
    with pytest.raises(LabError, match="no record of populations"):
        read_population(path)
    assert path.read_text() == "seed,kind\n1,retrain\n"
