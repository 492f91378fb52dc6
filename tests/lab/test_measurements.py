"""What the lab measures in models: kept once, of the right model, and refused in a sentence."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from selective_amnesia import Lab
from selective_amnesia.attacks import ATTACKS
from selective_amnesia.config import AttackConfig
from selective_amnesia.lab import measurements
from selective_amnesia.metrics import METRICS, recognition
from selective_amnesia.metrics.description import code_length
from selective_amnesia.metrics.likelihood import as_pixels
from selective_amnesia.metrics.perceptual import JudgeFeatures
from selective_amnesia.models.cvae import one_hot
from selective_amnesia.storage.stage import Checkpoint
from selective_amnesia.training.random import eval_steps, seeded


class Faint(nn.Module):
    """A reader's own model: another one's, fainter."""

    classes, z_dim = 10, 8

    def __init__(self, inner, by):
        super().__init__()
        self.inner, self.by = inner, by

    def decode_logits(self, z, c):
        return self.by * self.inner.decode_logits(z, c)

    def decode(self, z, c):
        return self.decode_logits(z, c).sigmoid()


def same(a, b):
    return all(torch.equal(a[k].nan_to_num(), b[k].nan_to_num()) for k in a)


# --- which model it is ---------------------------------------------------------------------------


def test_a_readers_model_whose_code_changes_is_another_one(lab):
    model = Faint(lab.cvae(), 0.5)
    before = lab.measure.metric(model, 0, "description")
    model.by = 0.1
    assert not torch.equal(lab.measure.metric(model, 0, "description"), before)


def test_a_changed_copy_of_the_labs_model_is_a_model_of_its_own(lab):
    known = lab.measure.scores(lab.cvae())
    changed = copy.deepcopy(lab.cvae())
    with torch.no_grad():
        changed.decoder[-1].bias.zero_()
    assert not torch.equal(lab.measure.scores(changed).judge, known.judge)
    assert same(vars(lab.measure.scores(copy.deepcopy(lab.cvae()))), vars(known))


def test_a_model_on_another_device_is_refused_in_a_sentence(lab):
    with pytest.raises(ValueError, match=r"the model is on meta and this lab on cpu: move it with"):
        lab.measure.scores(copy.deepcopy(lab.cvae()).to("meta"))


def test_what_was_not_forgotten_is_neither_attacked_nor_audited(lab):
    ask, amnesiac = lab.measure, lab.amnesiac({0})
    for refused in (
        lambda: ask.attack(amnesiac, 3),
        lambda: ask.images(amnesiac, 3),
        lambda: ask.verdict(amnesiac, 3),
        lambda: ask.metric(amnesiac, 3, "relearning"),
    ):
        with pytest.raises(ValueError, match="amnesiac-0 has not forgotten 3: attack and audit it"):
            refused()


def test_bad_input_is_one_sentence(lab):
    ask, amnesiac = lab.measure, lab.amnesiac({0})
    for says, refused in {
        "10 is not a label: use 0 to 9": lambda: ask.metric(lab.cvae(), 10, "description"),
        "attack 'c' is unknown: use one of diverse, joint": lambda: ask.attack(amnesiac, 0, "c"),
        "attack 'c' is unknown: use one": lambda: ask.verdict(amnesiac, 0, "c"),
        "metric 'hope' is unknown: use one of desc": lambda: ask.metric(amnesiac, 0, "hope"),
        "A has no colour: use steps": lambda: ask.attack(amnesiac, 0, colour=3),
        "codes is 0": lambda: ask.attack(amnesiac, 0, codes=0),
        "per_label is 0": lambda: ask.samples(amnesiac, 0),
        "name is '../x': use a file's name": lambda: ask.export_samples(amnesiac, "../x"),
        "method 'pca' is unknown: use one of umap, tsne": lambda: lab.latent.projection("pca", {}),
        "number is 0": lambda: lab.latent.codes(0),
    }.items():
        with pytest.raises(ValueError, match=says):
            refused()
    with pytest.raises(TypeError, match="Linear has no decode, decode_logits, classes, z_dim"):
        ask.attack(nn.Linear(2, 2), 0)


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["robust", "diverse", "joint"])
def test_an_attack_is_kept(name, lab, monkeypatch):
    model = lab.amnesiac({0})
    found = lab.measure.attack(model, 0, name)
    assert found.start != 0
    assert ("diversity" in found.history) == (name == "diverse")
    assert ("prior" in found.history) == (name == "joint")
    monkeypatch.setattr(ATTACKS[name], "recover", None)
    again = lab.measure.attack(model, 0, name)
    assert torch.equal(found.c, again.c)
    assert same(found.history, again.history)
    with pytest.raises(TypeError):
        lab.measure.attack(model, 0, name, codes=3)


def test_a_surrogate_classifier_shapes_attack_and_verdict(lab):
    model, ask = lab.amnesiac({0}), lab.measure
    alone, stronger = ask.attack(model, 0), ask.attack(model, 0, surrogates=1)
    assert not torch.equal(alone.history["likelihood"], stronger.history["likelihood"])
    assert torch.equal(ask.attack(model, 0, surrogates=0).c, alone.c)
    seen = ask.verdict(model, 0, "robust", surrogates=1)
    longer = replace(lab.profile, surrogate=replace(lab.profile.surrogate, steps=60))
    other = Lab(longer, lab.seed, lab.data.name, lab.store, lab.device)
    theirs = other.measure.verdict(model, 0, "robust", surrogates=1)
    assert not torch.equal(theirs.judge, seen.judge)


def test_another_draw_of_an_attack_is_another_one_and_draw_0_is_the_usual(lab):
    model, ask = lab.amnesiac({0}), lab.measure
    usual, again, other = (ask.attack(model, 0, **how) for how in ({}, {"draw": 0}, {"draw": 1}))
    assert torch.equal(usual.c, again.c)
    assert torch.equal(usual.z, again.z)
    assert not torch.equal(usual.z, other.z)
    assert not torch.equal(usual.c, other.c)


def test_conditions_that_answer_together_take_turns(lab):
    model = lab.amnesiac({0})
    found = lab.measure.attack(model, 0, "diverse", together=True)
    many, count = len(found.c), lab.profile.evaluation.samples
    assert many == lab.profile.attack.finalists
    images = lab.measure.images(model, 0, "diverse", together=True)
    with torch.no_grad(), seeded(lab.measure.maker.seed_of("fresh codes"), lab.device):
        z = torch.randn(count, model.z_dim)
        for k, c in enumerate(found.c):
            own = model.decode(z[k::many], c.expand(len(z[k::many]), -1))
            torch.testing.assert_close(images[k::many], own)


def test_a_verdict_is_on_the_same_fresh_codes_for_every_model(lab):
    amnesiac = lab.amnesiac({0})
    seen = lab.measure.verdict(amnesiac, 0, "robust")
    images = lab.measure.images(amnesiac, 0, "robust")
    assert images.shape == (lab.profile.evaluation.samples, 784)
    torch.testing.assert_close(seen.judge, lab.judge()(images).softmax(-1)[:, 0])
    plain = lab.measure.images(amnesiac, 0)
    assert not torch.equal(images, plain)
    assert torch.equal(plain, lab.measure.images(copy.deepcopy(amnesiac), 0))


def test_metrics_are_kept(lab, monkeypatch):
    model, relearning = lab.amnesiac({0}), lab.profile.relearning
    values = {name: lab.measure.metric(model, 0, name) for name in METRICS}
    at = eval_steps(relearning.steps, relearning.evaluations)
    assert values["description"].shape == (lab.profile.description.images,)
    assert values["relearning"].shape == (3, relearning.draws, len(at))
    assert values["kept"].shape == (9, 9)  # a third of the label with the fewest test images
    for name in METRICS:
        monkeypatch.setattr(METRICS[name], "measure", None)
        assert torch.equal(values[name], lab.measure.metric(model, 0, name))


def test_scores_are_kept(lab, monkeypatch):
    kept = lab.measure.scores(lab.cvae())
    monkeypatch.setattr(recognition, "score", None)
    assert same(vars(kept), vars(lab.measure.scores(lab.cvae())))


def test_a_measurement_that_lacks_a_field_is_made_anew(lab):
    """As one does that was written before the field was there."""
    model = Faint(lab.cvae(), 0.7)
    whole = lab.measure.verdict(model, 0)
    (key,) = [k for k in lab.store.used if lab.store.path(k, ".json").stem == k][-1:]
    assert key.startswith("verdict-label-0-")
    content, facts = (lab.store.path(key, s).read_bytes() for s in (".safetensors", ".json"))
    found = Checkpoint.decoded(key, content, facts)
    older = Checkpoint({k: v for k, v in found.tensors.items() if k != "frechet"}, found.facts)
    for suffix, written in zip((".safetensors", ".json"), older.encoded(key), strict=True):
        lab.store.path(key, suffix).write_bytes(written)
    assert same(vars(lab.measure.verdict(model, 0)), vars(whole))
    assert lab.store.path(key, ".safetensors").read_bytes() == content


def test_the_price_can_be_asked_of_any_labels(lab):
    """Of an original as well, also of a single label that is kept: its nats are the integral, which
    more samples leave where it is."""
    model = lab.cvae()
    nats = lab.measure.metric(model, 0, "kept", range(9), images=5)
    assert nats.shape == (1, 5)
    more = lab.measure.metric(model, 0, "kept", range(9), images=5, samples=2000, codes=4)
    assert float((nats - more).mean().abs()) < 0.5
    x = as_pixels(lab.data.third(9, "evaluate", 5), "grey")
    settled = replace(lab.profile.description, steps=300)
    energy = code_length(model, x, one_hot([9] * 5, 10), settled)
    grey = lab.measure.metric(model, 0, "kept", range(9), images=5, pixels="grey")
    assert grey[0].mean() > energy.mean()  # the energy lacks the posterior's volume
    assert len(lab.measure.metric(model, 0, "kept", {0}, images=2)) == 9


def test_without_weights_of_lpips_the_judges_features_stand_in(lab, monkeypatch, capsys):
    def none(_folder):
        raise FileNotFoundError("no source")

    monkeypatch.setattr(measurements, "alexnet_weights", none)
    fresh = Lab.open("smoke", dataset="digits", folder=lab.store.folder, device="cpu")
    assert isinstance(fresh.measure.perceptual, JudgeFeatures)
    assert "not by LPIPS: no source" in capsys.readouterr().out


def test_settings_of_an_attack_come_from_the_profile(lab):
    settings = ATTACKS.settings("robust", AttackConfig, lab.profile, codes=3)
    assert settings == replace(lab.profile.attack, codes=3)


def test_samples_are_exported_as_files(lab):
    from PIL import Image

    folder = lab.measure.export_samples(lab.cvae(), "original", per_label=2)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert files[:3] == ["0/0000.png", "0/0001.png", "1/0000.png"]
    assert len(files) == 20
    assert Image.open(folder / files[0]).size == (28, 28)
    again = lab.measure.export_samples(lab.cvae(), "original", per_label=1)
    assert len(list(again.rglob("*.png"))) == 10


# --- latent views --------------------------------------------------------------------------------


def test_radii_are_those_of_the_kept_labels(lab):
    radii = lab.latent.radii(lab.cvae(), {3, 8})
    assert radii.shape == (8, lab.profile.visualisation.codes)
    assert ((radii >= 0) & (radii <= 1)).all()
    everywhere = lab.latent.radius_map(lab.cvae())
    assert torch.equal(radii[0], everywhere[0, 3])
    assert everywhere.isnan().all(-1).nonzero().tolist() == [[k, k] for k in range(10)]
    with pytest.raises(ValueError, match="the forget set is not valid: 10 is not among"):
        lab.latent.radii(lab.cvae(), {10})


def test_encodings_and_pages_are_of_the_test_images(lab, monkeypatch):
    models = {"original": lab.cvae(), "amnesiac": lab.amnesiac({0})}
    codes = lab.latent.encodings(models["original"])
    assert codes.shape == (len(lab.data.test_labels), 8)
    assert not torch.equal(codes, lab.latent.encodings(models["original"], blind=True))
    assert {k: v.shape for k, v in lab.latent.geometry(codes).items()} == {
        "purity": (len(codes),), "silhouette": (lab.profile.visualisation.silhouette,),
    }  # fmt: skip
    page = lab.latent.projection("tsne", models)
    assert page.keys() == models.keys()
    assert page["original"].shape == (lab.profile.visualisation.drawn, 2)
    assert len(lab.latent.drawn().unique()) == lab.profile.visualisation.drawn
    monkeypatch.setattr(lab.latent, "encodings", None)
    again = lab.latent.projection("tsne", models)
    assert all((page[name] == again[name]).all() for name in models)
    assert torch.equal(lab.latent.codes(5), lab.latent.codes(5))
