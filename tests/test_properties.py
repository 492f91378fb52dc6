"""Whatever settings, digits and shapes a reader tries: valid ones work, others are named.

Nothing but a ValueError or a TypeError may come out, and its message is one sentence.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import math
import pkgutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import selective_amnesia
from selective_amnesia import (
    Lab,
    config,
    evaluation,
    interpolation,
    latent,
    plots,
    recovery,
    results,
    training,
    widgets,
)
from selective_amnesia.config import PROFILES
from selective_amnesia.data import Dataset, load
from selective_amnesia.models import Judge, OneHotCVAE, Referee, one_hot
from selective_amnesia.networks import Networks
from selective_amnesia.perceptual import JudgeFeatures

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["0", "3 8", "smoke", "cpu", b"\x03", 1j, object()]),
)
anything = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(scalars, scalars))
sizes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
tensors = sizes.map(lambda size: torch.linspace(0, 1, max(1, int(torch.Size(size).numel())))[
    : torch.Size(size).numel()
].view(size))  # fmt: skip


def attempt(call: Callable, *args: object, **kwargs: object) -> object:
    """The answer, or None where it is refused in a sentence."""
    try:
        return call(*args, **kwargs)
    except (ValueError, TypeError) as error:
        sentence = str(error)
    assert sentence.strip()
    assert "\n" not in sentence


# --- settings ----------------------------------------------------------------------------------

CONFIGS = sorted(
    {type(value) for value in vars(PROFILES["smoke"]).values() if dataclasses.is_dataclass(value)},
    key=lambda kind: kind.__name__,
)


def example(kind: type) -> object:
    """That configuration in the profile `smoke`."""
    return next(v for v in vars(PROFILES["smoke"]).values() if type(v) is kind)


@pytest.mark.parametrize("kind", CONFIGS)
@quick
@given(data=st.data())
def test_a_setting_is_refused_or_survives_json(kind, data):
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(kind)]))
    changed = attempt(dataclasses.replace, example(kind), **{name: data.draw(anything)})
    if changed is not None:
        again = kind(**json.loads(json.dumps(dataclasses.asdict(changed))))
        assert again == changed
        assert config.same_result(again) == config.same_result(changed)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_profile_survives_json(profile):
    for name, value in vars(profile).items():
        if dataclasses.is_dataclass(value):
            stored = json.loads(json.dumps(dataclasses.asdict(value)))
            assert type(value)(**stored) == value, name


@quick
@given(
    steps=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**4),
    lr=st.floats(1e-12, 1e3),
    decay=st.floats(0, 1),
    data=st.data(),
)
def test_sound_training_settings_work(steps, batch_size, lr, decay, data):
    warmup = data.draw(st.integers(0, steps - 1))
    chosen = config.FitConfig(steps=steps, batch_size=batch_size, lr=lr, decay=decay, warmup=warmup)
    for step in (0, warmup, steps - 1):
        assert 0 < training.schedule(step, chosen) <= lr * (1 + 1e-9)


@quick
@given(st.sets(st.integers(0, 9), min_size=1, max_size=9))
def test_every_forget_set_works_in_every_spelling(digits):
    wanted = tuple(sorted(digits))
    assert config.forget_set(digits) == wanted
    assert config.forget_set(" ".join(map(str, digits))) == wanted
    assert config.forget_set(",".join(map(str, digits))) == wanted


@quick
@given(anything)
def test_any_forget_set_is_sound_or_refused(words):
    chosen = attempt(config.forget_set, words)
    if chosen is not None:
        assert chosen == tuple(sorted(set(chosen)))
        assert 1 <= len(chosen) <= 9
        assert set(chosen) <= set(range(10))


@quick
@given(profile=anything, seed=anything, dataset=anything, device=anything)
def test_a_lab_opens_or_says_why_not(profile, seed, dataset, device, tmp_path):
    good = {"profile": "smoke", "seed": 0, "dataset": "digits", "device": "cpu"}
    tried = {"profile": profile, "seed": seed, "dataset": dataset, "device": device}
    for name, value in tried.items():
        lab = attempt(Lab.open, folder=tmp_path, **(good | {name: value}))
        assert lab is None or lab.device.type in ("cpu", "cuda")


@quick
@given(anything)
def test_names_are_known_or_refused(name):
    attempt(config.get_profile, name)
    attempt(config.count, "steps", name)
    attempt(load, name, "unused") if name != "mnist" else None


# --- the lab -----------------------------------------------------------------------------------


@settings(quick, max_examples=25)
@given(value=anything, data=st.data())
def test_the_labs_stages_refuse_before_any_work(value, data, lab):
    lab.cvae()
    before = set((lab.folder / "checkpoints").iterdir())
    if attempt(config.forget_set, value) is None:
        for stage in (lab.amnesiac, lab.control, lab.trio, lab.explorer, lab.explorer_times):
            assert attempt(stage, value) is None
        for stages in (lab.amnesiacs, lab.controls):
            assert attempt(stages, [{0}, value]) is None
        assert attempt(results.results, lab, [value]) is None
        for table in (results.matrix, results.erasures):
            assert attempt(table, lab, [(0, value)]) is None
        assert attempt(lab.radii, lab.cvae(), value) is None
    attempt(lab.page, value, {"original": lab.cvae()})
    if attempt(config.count, "seed", value, 0) is None:
        assert attempt(lab.siblings, [0, value]) is None
    if not (isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10):
        assert value is None or attempt(lab.sequence, value) is None
    if attempt(config.forget_set, [value]) is None:
        assert attempt(lab.description_length, lab.cvae(), value) is None
        assert attempt(lab.recovery, lab.cvae(), value) is None
    setting = data.draw(st.sampled_from(["steps", "lr", "lam", "gamma", "frames", "colour"]))
    if attempt(dataclasses.replace, lab.profile.forget, **{setting: value}) is None:
        assert attempt(lab.amnesiac, {0}, **{setting: value}) is None
    codes = attempt(lab.codes, value)
    assert codes is None or codes.shape == (value, 8)
    attempt(lab.samples, lab.cvae(), value)
    attempt(lab.variant, z_dim=value)
    assert set((lab.folder / "checkpoints").iterdir()) == before


# --- shapes ------------------------------------------------------------------------------------


@quick
@given(x=tensors, c=tensors, z=tensors)
def test_networks_name_a_wrong_shape(x, c, z):
    model = OneHotCVAE(pixels=5, classes=4, z_dim=3, hidden=(8, 6))
    seen = attempt(model.encode, x, c)
    assert (seen is not None) <= (x.shape[-1:] == (5,) and c.shape[-1:] == (4,))
    painted = attempt(model.decode, z, c)
    assert (painted is not None) <= (z.shape[-1:] == (3,) and c.shape[-1:] == (4,))
    assert attempt(Judge(), x) is None
    assert attempt(Referee(), x) is None


@quick
@given(anything)
def test_networks_refuse_sizes_that_are_none(size):
    for build in (
        lambda: OneHotCVAE(z_dim=size), lambda: OneHotCVAE(hidden=(8, size)),
        lambda: OneHotCVAE(pixels=size), lambda: OneHotCVAE(classes=size),
        lambda: Judge(size), lambda: Referee(size), lambda: Referee(width=size),
    ):  # fmt: skip
        attempt(build)


@quick
@given(labels=anything, classes=st.integers(1, 12))
def test_labels_become_conditions_or_are_refused(labels, classes):
    c = attempt(one_hot, labels, classes)
    if c is not None:
        assert c.shape[1] == classes
        assert (c.sum(1) == 1).all()


@quick
@given(start=anything, end=anything, alpha=anything)
def test_a_path_is_one_or_is_refused(start, end, alpha):
    for path in (
        attempt(interpolation.label_path, start, end, alpha),
        attempt(interpolation.label_path, 7, 0, alpha),
        attempt(interpolation.label_path, start, 0, 0.5),
        attempt(interpolation.label_walk, [7, 0, end], 3),
        attempt(interpolation.label_walk, [7, 0], alpha),
        attempt(interpolation.label_walk, start, 3),
    ):
        if path is not None:
            assert path.shape[1] == 10
            assert torch.allclose(path.sum(1), torch.ones(len(path)))


@quick
@given(a=tensors, b=tensors, t=anything)
def test_arcs_are_finite_or_refused(a, b, t):
    for arc in (attempt(interpolation.slerp, a, b, [0.0, 0.5, 1.0]),
                attempt(interpolation.slerp, a, a, t)):  # fmt: skip
        assert arc is None or arc.isfinite().all()
    attempt(interpolation.code_walk, a, 2)
    attempt(interpolation.patchwork, a, 2)


@quick
@given(a=tensors, b=tensors, count=anything)
def test_figures_are_numbers_or_refused(a, b, count, small_cvae):
    attempt(evaluation.frechet_distance, a, b)
    attempt(evaluation.interval, a)
    attempt(evaluation.samples, small_cvae, count, 0)
    attempt(latent.purity, a, torch.zeros(len(a) if a.ndim else 0), count)
    attempt(latent.plane, a, 2.0, 3)
    attempt(latent.main_directions, a)
    attempt(training.frame_steps, 10, count)
    attempt(interpolation.film, small_cvae, a, b)


# --- every other door ----------------------------------------------------------------------------
#
# `SOUND` holds arguments that each public function takes; a test spoils one of them at a time. What
# is in no test of this file stands in `ELSEWHERE`, with the reason.


def ramp(*size: int) -> Tensor:
    """Numbers from 0 to 1, of that shape."""
    return torch.linspace(0, 1, math.prod(size)).view(size)


torch.manual_seed(0)
SMALL = OneHotCVAE(pixels=16, classes=4, z_dim=3, hidden=(8, 6))
CVAE = OneHotCVAE(z_dim=3, hidden=(8, 6))
JUDGE, REFEREE = Judge().eval(), Referee(width=2, features=4).eval()
LABELS = torch.arange(40) % 10
IMAGES = (255 * ramp(40, 784)).byte()
DATA = Dataset("tiny", 10, "made up", IMAGES, LABELS, IMAGES, LABELS)
STEPS = {"steps": 2, "batch_size": 4, "lr": 1e-3}
ATTACK = config.AttackConfig(steps=2, codes=2, frames=1)
TARGET = recovery.describe(JUDGE, ramp(3, 784), 3)
FOUND = recovery.Recovered(c=ramp(10), z=ramp(2, 3), start=1, objective=1.0, history={})
FISHER = {name: torch.ones_like(p) for name, p in SMALL.named_parameters()}
WEIGHTS = {"a": ramp(2), "b": ramp(2, 3)}
CLOUD = torch.stack([ramp(40), ramp(40) ** 2, LABELS.float()], 1)
SEEN = evaluation.Examined(*[ramp(9)] * 2, ramp(9) > 0.5, ramp(9), ramp(), ramp())
SCORES = evaluation.Scores(*[ramp(3, 4)] * 3, ramp(3, 4), ramp(3))
LAND = recovery.Landscape(ramp(3, 3), ramp(3, 3), (-1, 3, -1, 2), [(0, 0), (2, 0), (1, 1)])
TERMS = {"likelihood": ramp(4, 2), "tv": ramp(4, 2), "frames": ramp(2, 3, 784)}
CURVES = {name: ramp(3) for name in ("step", "loss", "bce", "kl", "watch_step", "test_loss",
                                     "test_bce", "test_kl", "forget", "replay", "ewc",
                                     "margin")}  # fmt: skip
PAIR = dict.fromkeys(("original", "amnesiac"))
SHARE = (0.5, 0.4, 0.6)
BOARD = dict.fromkeys(("erasure", "cost", "label", "relearning", "gap"), SHARE)


def pair(value: object) -> dict[str, object]:
    return dict.fromkeys(PAIR, value)


def explorer() -> widgets.Explorer:
    return widgets.Explorer({"original": CVAE}, REFEREE, torch.eye(3), 7, 0)


SOUND: dict[str, dict[str, object]] = {
    "losses.elbo_terms": {"model": SMALL, "x": ramp(3, 16), "c": ramp(3, 4)},
    "losses.surrogate": {"model": SMALL, "c": ramp(3, 4)},
    "losses.replay": {"model": SMALL, "original": SMALL, "c": ramp(3, 4)},
    "losses.ewc": {"parameters": WEIGHTS, "anchor": WEIGHTS, "fisher": WEIGHTS},
    "losses.nats_for": {"logits": ramp(2, 16), "x": ramp(2, 16), "z": ramp(2, 3)},
    "losses.shape": {"deep": ramp(2, 3, 4, 4), "mean": ramp(3, 4, 4)},
    "losses.edge": {"shallow": ramp(2, 3, 4, 4), "mean": ramp(3, 4, 4)},
    "losses.repel": {"p": ramp(2, 5), "target": 0, "start": torch.tensor([1, 2]), "rivals": 3},
    "losses.total_variation": {"x": ramp(2, 16)},
    "losses.diversity": {"spread": ramp(3), "cap": 0.3, "brake": 2.0},
    "recovery.describe": {"judge": JUDGE, "real": ramp(3, 784), "digit": 3},
    "recovery.recover": {"model": CVAE, "judge": JUDGE, "target": TARGET, "config": ATTACK,
                         "seed": 0, "starts": (1, 2), "embed": torch.nn.Flatten(), "cap": 0.3,
                         "joint": True},
    "recovery.spanning_codes": {"count": 3, "z_dim": 4, "device": torch.device("cpu")},
    "recovery.landscape": {"model": CVAE, "judge": JUDGE, "referee": REFEREE, "found": FOUND,
                           "digit": 3, "side": 2},
    "audit.code_length": {"model": SMALL, "images": ramp(3, 16), "c": ramp(3, 4),
                          "config": config.DescriptionConfig(steps=1)},
    "audit.description_length": {"model": SMALL, "images": ramp(3, 16), "starts": (0, 1),
                                 "config": config.DescriptionConfig(steps=1)},
    "audit.erasure": {"model": ramp(5), "original": ramp(5) - 1, "control": ramp(5) + 1},
    "audit.erasure_with_interval": {"model": ramp(5), "original": ramp(5) - 1,
                                    "control": ramp(5) + 1, "draws": 9, "seed": 0},
    "audit.relearning": {"model": CVAE, "images": ramp(2, 784), "digit": 3, "referee": REFEREE,
                         "config": config.RelearningConfig(steps=1, samples=2, looks=1), "seed": 0},
    "audit.steps_to": {"curve": ramp(3), "watched": (0, 2, 5), "level": 0.5},
    "audit.area": {"curves": ramp(2, 3), "watched": (0, 2, 5)},
    "audit.check_interface": {"model": SMALL},
    "evaluation.entropy": {"p": ramp(2, 4)},
    "evaluation.examine": {"images": ramp(2, 784), "digit": 3, "judge": JUDGE, "referee": REFEREE,
                           "metric": JudgeFeatures(JUDGE), "real": ramp(3, 784)},
    "evaluation.frechet_distance": {"a": ramp(4, 3), "b": ramp(5, 3)},
    "evaluation.grey_verdict": {"judge": JUDGE, "pixels": 784},
    "evaluation.interval": {"values": ramp(4), "draws": 9, "seed": 0},
    "evaluation.probabilities": {"classifier": REFEREE, "images": ramp(2, 784)},
    "evaluation.samples": {"model": SMALL, "per_label": 2, "seed": 0},
    "evaluation.score": {"images": ramp(10, 2, 784), "judge": JUDGE, "referee": REFEREE,
                         "real": ramp(40, 784), "real_labels": LABELS},
    "evaluation.spread": {"embedded": ramp(3, 4, 2)},
    "fisher.squared_gradients": {"model": SMALL, "x": ramp(3, 16), "c": ramp(3, 4)},
    "fisher.fisher_diagonal": {"model": SMALL, "seed": 0,
                               "config": config.FisherConfig(samples=3, batch_size=2)},
    "fisher.squared_batch_mean": {"model": SMALL, "seed": 0,
                                  "config": config.FisherConfig(samples=3, batch_size=2)},
    "fisher.relative_error": {"estimate": FISHER, "reference": FISHER},
    "fisher.settling": {"model": SMALL, "reference": FISHER, "counts": (2, 4), "seed": 0},
    "forgetting.forget": {"method": "selective_amnesia", "original": SMALL, "fisher": FISHER,
                          "seeds": (0, 1), "forget_sets": ((0,), (2, 3)),
                          "config": config.ForgetConfig(**STEPS), "forgotten": (1,),
                          "frames_z": ramp(2, 3)},
    "forgetting.method_of": {"name": "naive"},
    "forgetting.title": {"method": "naive"},
    "forgetting.settings": {"method": "naive", "like": config.ForgetConfig(**STEPS), "steps": 3},
    "interpolation.code_walk": {"stations": ramp(2, 3), "steps": 2},
    "interpolation.film": {"model": SMALL, "z": ramp(2, 3), "c": ramp(2, 4)},
    "interpolation.label_path": {"start": 7, "end": 0, "alpha": (0.0, 0.5), "classes": 10},
    "interpolation.label_walk": {"digits": (7, 0, 7), "steps": 2, "classes": 10},
    "interpolation.patchwork": {"corners": ramp(4, 3), "steps": 2},
    "interpolation.radius": {"model": CVAE, "referee": REFEREE, "start": 7, "end": 0,
                             "z": ramp(2, 3), "steps": 2},
    "interpolation.radius_map": {"model": CVAE, "referee": REFEREE, "z": ramp(1, 3), "steps": 1,
                                 "label": "all"},
    "interpolation.screening": {"models": {"original": CVAE}, "referee": REFEREE, "z": ramp(2, 3),
                                "c": ramp(2, 10)},
    "interpolation.slerp": {"a": ramp(2, 3), "b": ramp(2, 3) + 1, "t": (0.0, 0.5)},
    "latent.centroid_shift": {"before": CLOUD, "after": CLOUD + 1, "labels": LABELS, "classes": 10,
                              "draws": 9, "seed": 0},
    "latent.encodings": {"model": CVAE, "x": ramp(40, 784), "labels": LABELS, "blind": False},
    "latent.main_directions": {"z": CLOUD, "count": 2},
    "latent.pca": {"codes": pair(CLOUD)},
    "latent.plane": {"directions": ramp(2, 3), "extent": 2.0, "steps": 3},
    "latent.purity": {"z": CLOUD, "labels": LABELS, "neighbours": 3},
    "latent.rarest": {"z": CLOUD, "labels": LABELS, "digit": 3, "count": 2},
    "latent.silhouette": {"z": CLOUD, "labels": LABELS, "count": 20, "seed": 0},
    "models.check_rows": {"name": "codes", "tensor": ramp(2, 3), "least": 1, "size": 3},
    "models.one_hot": {"labels": LABELS, "classes": 10},
    "perceptual.JudgeFeatures.embed": {"self": JudgeFeatures(JUDGE), "x": ramp(2, 784)},
    "data.Dataset.rows_without": {"self": DATA, "labels": (0, 1)},
    "data.pixels": {"images": IMAGES},
    "recipes.blends": {"x": ramp(4, 16), "labels": LABELS[:4], "weight": ramp(4, 1)},
    "recipes.elbo_of": {"model": CVAE, "images": IMAGES, "labels": LABELS},
    "recipes.non_digits": {"x": ramp(4, 16), "labels": LABELS[:4], "count": 7},
    "recipes.paint": {"model": SMALL, "z": ramp(2, 3)},
    "recipes.soil": {"x": ramp(4, 16), "haze": 0.5, "grain": 0.5},
    "recipes.train_cvaes": {"data": DATA, "config": config.CVAEConfig(**STEPS, hidden=(8, 6)),
                            "seeds": (0, 1), "without": ((), (3,)), "frames_z": [ramp(2, 8)] * 2},
    "recipes.train_judge": {"data": DATA, "config": config.JudgeConfig(**STEPS), "seed": 0},
    "recipes.train_referee": {"data": DATA, "config": config.RefereeConfig(**STEPS, width=2),
                              "seed": 0},
    "results.cases": {"forget_sets": ((0,), "0 1")},
    "training.Streams": {"seeds": (0, 1), "device": torch.device("cpu")},
    "training.frame_steps": {"steps": 10, "frames": 3},
    "training.schedule": {"step": 1, "config": config.FitConfig(**STEPS)},
    "training.seeded": {"seed": 0, "device": torch.device("cpu")},
    "widgets.Explorer": {"models": {"original": CVAE}, "referee": REFEREE,
                         "directions": torch.eye(3), "start": 7, "end": 0, "seed": 0},
    "widgets.Explorer.still": {"self": explorer(), "steps": 2},
    "widgets.event_times": {"explorer": explorer(), "events": 2, "seed": 0},
    "widgets.portrait": {"image": ramp(16), "probability": ramp(11)},
    "widgets.verdict": {"probability": ramp(11)},
    "plots.before_after": {"images": pair(ramp(3, 2, 16)), "forgotten": (0,), "title": "both"},
    "plots.confusions": {"tables": pair(ramp(3, 4)), "forgotten": (0,)},
    "plots.fisher_convergence": {"counts": (1, 2), "errors": (0.5, 0.2), "total": 9},
    "plots.fisher_layers": {"fisher": FISHER},
    "plots.fisher_maps": {"fisher": {k: v + ramp(*v.shape) for k, v in FISHER.items()},
                          "pixels": 16},
    "plots.fisher_units": {"fisher": FISHER},
    "plots.forgetting_curves": {"histories": {"forget {0}": CURVES}, "pixels": 784},
    "plots.frechet": {"distances": pair(ramp(3)), "digits": (0, 1, 2)},
    "plots.gif": {"frames": IMAGES[:12].view(2, 3, 2, 784), "captions": ("a", "b"),
                  "heads": ("0", "1", "2"), "codes": 1, "scale": 1.5, "pause": 3},
    "plots.grids": {"panels": pair(ramp(2, 2, 16)), "rows": ("a", "b"), "forgotten": (0,),
                    "title": "both", "height": 2.0},
    "plots.learning_curve": {"history": CURVES, "reference": 96.9},
    "plots.per_digit": {"values": pair(ramp(3, 4)), "ylabel": "P", "digits": (0, 1, 2),
                        "forgotten": (0,), "title": "both", "height": 3.2},
    "plots.per_sample_against_batch": {"fisher": FISHER, "mistaken": FISHER, "batch": 5},
    "plots.png": {"image": ramp(16)},
    "plots.sequence_curve": {"scores": (SCORES, SCORES), "baseline": SCORES},
    "plots_attack.attack_film": {"histories": pair(TERMS), "steps": 3, "rows": 2},
    "plots_attack.bars": {"values": {"A": pair(0.2)}, "ylabel": "P", "line": ("real", 0.3),
                          "height": 3.0},
    "plots_attack.codes_curve": {"verdicts": pair({1: SEEN, 4: SEEN}), "digit": 0},
    "plots_attack.confidence": {"verdicts": {"A": pair(SEEN)}, "digit": 0, "title": "both"},
    "plots_methods.board": {"rows": {"naive": BOARD, "retrain": BOARD}, "digits": "{0}"},
    "plots_methods.by_set": {"methods": {"naive": {"0": BOARD}, "retrain": {"0": BOARD}}},
    "plots_methods.contest": {"history": CURVES},
    "plots_methods.frontier": {"points": {"naive": {"weight 1": (0.2, 0.1), "2": (0.3, 0.4)}}},
    "plots_attack.descriptions": {"nats": pair(ramp(4)), "erasures": pair(SHARE), "digit": 0},
    "plots_attack.landscapes": {"maps": pair(LAND), "digit": 0},
    "plots_attack.matrix": {"rows": {"original": [0.9, 0.8]}, "columns": ("0", "1"), "title": "P"},
    "plots_attack.relearning_curves": {"curves": pair(ramp(2, 3, 4)), "watched": (0, 1, 3, 9),
                                       "images": (1, 10), "digit": 0},
    "plots_attack.terms": {"histories": pair(TERMS), "best": pair(1)},
    "plots_latent.centroid_shifts": {"tables": pair(ramp(3, 3)), "forgotten": (0,), "title": "t"},
    "plots_latent.flat_maps": {"sheets": pair({"0": ramp(2, 2, 16)}),
                               "points": pair({"0": ramp(5, 2)}), "extent": 2.0,
                               "forgotten": ("0",)},
    "plots_latent.pages": {"views": {"blind": pair(ramp(6, 2).numpy())}, "labels": LABELS[:6],
                           "forgotten": (0,), "method": "PCA"},
    "plots_latent.sheets": {"table": {"0": pair(ramp(2, 2, 16))}, "xlabel": "x", "ylabel": "y",
                            "forgotten": ("0",)},
    "plots_paths.film_strips": {"films": pair(ramp(3, 2, 16)), "verdicts": pair(ramp(3, 2, 11)),
                                "digits": (7, 0), "rows": 2, "title": "t", "forgotten": (0,),
                                "xlabel": "way"},
    "plots_paths.morph": {"films": pair(ramp(3, 2, 16)), "captions": "abc", "rows": 2},
    "plots_paths.radius_maps": {"maps": pair(ramp(3, 3)), "forgotten": (0,)},
    "plots_paths.weave": {"panels": pair(ramp(2, 3, 16)), "down": (7, 0), "across": "code"},
}  # fmt: skip


def is_extreme(x: float) -> bool:
    """Whether float32 may have no room for what comes of a number."""
    return math.isfinite(x) and x != 0 and not 1e-6 < abs(x) < 1e6


def odd(value: object) -> st.SearchStrategy:
    """Values in the place of a sound one: settings may be anything, tensors of any shape."""
    if isinstance(value, Tensor):
        return tensors | tensors.map(lambda t: (9 * t - 1).to(value.dtype))
    if isinstance(value, Dataset):
        key = st.sampled_from([k for k, v in vars(value).items() if isinstance(v, Tensor)])
        return key.flatmap(
            lambda k: odd(vars(value)[k]).map(lambda v: dataclasses.replace(value, **{k: v}))
        )
    if isinstance(value, np.ndarray):
        return tensors.map(lambda t: t.numpy())
    if isinstance(value, dict) and value:
        key = st.sampled_from(list(value))
        return (
            st.just({})
            | key.map(lambda gone: {k: v for k, v in value.items() if k != gone})
            | key.flatmap(lambda k: odd(value[k]).map(lambda v: value | {k: v}))
        )
    if value is None or isinstance(value, bool | int | float | str | tuple | list | plots.Gif):
        return anything.filter(lambda x: not (isinstance(x, float) and is_extreme(x)))
    return st.just(value)


def is_finite(answer: object) -> bool:
    """Whether no number in an answer is NaN or infinite."""
    if isinstance(answer, Tensor | np.ndarray | float):
        return bool(torch.as_tensor(answer).isfinite().all())
    if isinstance(answer, dict):
        return all(map(is_finite, answer.values()))
    if isinstance(answer, tuple | list):
        return all(map(is_finite, answer))
    return not dataclasses.is_dataclass(answer) or is_finite(vars(answer))


NOT_A_NUMBER = {  # in places, as they say
    "interpolation.radius_map",
    "latent.centroid_shift",
    "recovery.recover",
}


def door(name: str) -> Callable:
    place, *path = name.split(".")
    return functools.reduce(getattr, path, importlib.import_module(f"selective_amnesia.{place}"))


@pytest.mark.parametrize("name", SOUND)
def test_sound_arguments_work(name):
    assert is_finite(door(name)(**SOUND[name])) or name in NOT_A_NUMBER


@pytest.mark.parametrize("name", SOUND)
def test_a_spoilt_argument_is_named_or_does_no_harm(name):
    sound = SOUND[name]

    @settings(quick, max_examples=12 if name.startswith("plots") else 40)
    @given(st.data())
    def spoil(data):
        argument = data.draw(st.sampled_from(sorted(sound.keys() - {"self"})))
        spoilt = sound | {argument: data.draw(odd(sound[argument]))}
        answer = attempt(door(name), **spoilt)
        assert is_finite(answer) or name in NOT_A_NUMBER

    spoil()


EMPTY = {Tensor: torch.empty(0), dict: {}}
OF_NOTHING = {"data.pixels", "evaluation.entropy", "losses.diversity", "models.one_hot"}


@pytest.mark.parametrize("name", [name for name in SOUND if name not in OF_NOTHING])
def test_nothing_at_all_is_refused(name):
    for argument, value in SOUND[name].items():
        if type(value) in EMPTY:
            with pytest.raises((ValueError, TypeError)):
                door(name)(**SOUND[name] | {argument: EMPTY[type(value)]})


@quick
@given(x=tensors, y=tensors, batch_size=anything, seed=anything)
def test_batches_are_of_rows_that_belong_together(x, y, batch_size, seed):
    for rows in ((), (x,), (x, y)):
        assert attempt(training.Batches, *rows, batch_size=2, seed=0) is None or len(rows[0])
    attempt(training.Batches, ramp(4), batch_size=batch_size, seed=0)
    attempt(training.Batches, ramp(4), batch_size=2, seed=seed)


@quick
@given(value=anything, codes=tensors)
def test_slow_projections_refuse_before_any_work(value, codes):
    for project, least in ((latent.umap, 2), (latent.tsne, 2)):
        if attempt(config.count, "points", value, least) is None:
            assert attempt(project, {"original": CLOUD}, value, 0) is None
        if attempt(config.count, "seed", value, 0) is None:
            assert attempt(project, {"original": CLOUD}, 5, value) is None
        assert attempt(project, {}, 5, 0) is None
        if codes.shape[1:] != (3,) or len(codes) < 2:
            assert attempt(project, {"original": CLOUD, "amnesiac": codes}, 5, 0) is None
    assert attempt(latent.tsne, {"original": CLOUD, "amnesiac": CLOUD[:9]}, 5, 0) is None


# --- the lab's own -------------------------------------------------------------------------------

IN_LAB: dict[str, dict[str, object]] = {
    "codes": {"count": 3},
    "description_length": {"digit": 0},
    "diversity": {"images": ramp(3, 784)},
    "encodings": {"blind": False},
    "export_samples": {"name": "few", "per_label": 1},
    "geometry": {"codes": ramp(297, 3)},
    "painted": {"digit": 0, "method": "label"},
    "real": {"digit": 0, "count": 5, "test": True},
    "recovery": {"digit": 0, "method": "a", "steps": 1, "codes": 2},
    "relearning": {"digit": 0},
    "code_length": {"digits": (1, 2)},
    "samples": {"per_label": 2},
    "scores": {},
    "show": {"figure": plots.Gif(b""), "name": "few"},
    "verdict": {"digit": 0, "method": "label", "codes": 2},
}


@pytest.fixture(scope="session")
def brief(lab):
    """The lab with hardly any work in it."""
    profile = dataclasses.replace(
        lab.profile,
        attack=config.AttackConfig(steps=1, codes=2, frames=1),
        description=config.DescriptionConfig(steps=1, images=2),
        relearning=config.RelearningConfig(steps=1, images=(1,), draws=1, samples=2, looks=1),
        evaluation=config.EvaluationConfig(samples=3),
    )
    brief = Lab(profile, lab.seed, lab.dataset, lab.folder, lab.device)
    brief.metric = JudgeFeatures(brief.judge())
    return brief


@pytest.mark.parametrize("name", IN_LAB)
def test_the_lab_names_what_is_wrong(name, brief):
    call = getattr(brief, name)
    sound = dict(IN_LAB[name])
    if "model" in inspect.signature(call).parameters:
        sound["model"] = brief.cvae()
    assert is_finite(call(**sound))

    @settings(quick, max_examples=20)
    @given(st.data())
    def spoil(data):
        argument = data.draw(st.sampled_from(sorted(sound)))
        assert is_finite(attempt(call, **sound | {argument: data.draw(odd(sound[argument]))}))

    spoil()


# --- no door is forgotten ------------------------------------------------------------------------

ABOVE = {
    *(f"config.{kind.__name__}" for kind in CONFIGS),
    *("config.FitConfig", "config.amount", "config.count", "config.digit", "config.forget_set"),
    *("config.get_profile", "config.same_result", "data.load"),
    *("latent.tsne", "latent.umap"),
    *("models.Judge", "models.OneHotCVAE", "models.Referee", "training.Batches"),
    *("results.erasures", "results.matrix", "results.results"),
    *("lab.Lab", "lab.Lab.open", "lab.Lab.amnesiac", "lab.Lab.amnesiacs", "lab.Lab.control"),
    *("lab.Lab.controls", "lab.Lab.explorer"),
    *("lab.Lab.explorer_times", "lab.Lab.radii", "lab.Lab.radius_map"),
    *("lab.Lab.sequence", "lab.Lab.siblings"),
    *("lab.Lab.page", "lab.Lab.trio", "lab.Lab.variant"),
}
NOTHING, RECORD = "takes nothing to spoil", "a record: what takes it checks it"
FILES = "files, whatever their state: test_checkpoint"
LAYER = "made of networks that were checked: test_frozen"
ELSEWHERE = {
    "leaderboard.leaderboard": "forget_set, method_of, then the lab's stages: test_leaderboard",
    "leaderboard.measured": "what leaderboard gives it: test_leaderboard",
    "records.between_marks": "files: test_leaderboard",
    "records.first_and_last": "words of two tables: test_leaderboard",
    "records.record_leaderboard": "the lab's stages: test_leaderboard",
    "records.record_matrix": "the lab's stages: test_main",
    "leaderboard.over_digits": "what by_set returns: test_leaderboard",
    "leaderboard.by_set": "what leaderboard returns: test_leaderboard",
    "leaderboard.digits_markdown": "what leaderboard returns: test_leaderboard",
    "leaderboard.sets_markdown": "what leaderboard returns: test_leaderboard",
    "leaderboard.ranked": "what leaderboard returns: test_leaderboard",
    "leaderboard.markdown": "what leaderboard returns: test_leaderboard",
    "leaderboard.stronger": "forget_set, method_of, then the lab's stages: test_leaderboard",
    "audit.audit": "forget_set, check_interface, then the lab's stages: test_lab",
    "capture.replayed": "needs a GPU: test_gpu",
    "checkpoint.Checkpoint": RECORD,
    "checkpoint.Snapshot": FILES,
    "checkpoint.clear": FILES,
    "checkpoint.read": FILES,
    "checkpoint.read_bytes": FILES,
    "checkpoint.set_aside": FILES,
    "checkpoint.sweep": FILES,
    "checkpoint.write": FILES,
    "checkpoint.write_bytes": FILES,
    "config.Profile": "its parts are tried; as a whole in test_every_profile_survives_json",
    "evaluation.Examined": RECORD,
    "evaluation.Scores": RECORD,
    "frozen.Banded": LAYER,
    "frozen.FrozenJudge": LAYER,
    "frozen.Whole": LAYER,
    "frozen.fused": LAYER,
    "frozen.pooled": LAYER,
    "lab.Lab.cvae": NOTHING,
    "lab.Lab.fisher": NOTHING,
    "lab.Lab.fisher_facts": NOTHING,
    "lab.Lab.critic": "a count, then the lab's stages: test_lab",
    "lab.Lab.judge": NOTHING,
    "lab.Lab.referee": NOTHING,
    "locks.alone": "files: test_locks",
    "models.parameter_count": NOTHING,
    "perceptual.Perceptual": "needs AlexNet's weights: test_perceptual",
    "perceptual.trunk": "files: test_perceptual",
    "plots.Gif": RECORD,
    "plots.render": "by way of Lab.show",
    "recovery.Landscape": RECORD,
    "recovery.Recovered": RECORD,
    "recovery.Target": RECORD,
    "stages.Stage": RECORD,
    "networks.Networks": "by way of Lab",
    "stages.Stages": "by way of Lab",
    "stages.facts_of": NOTHING,
    "stages.home": NOTHING,
    "stages.name_of": NOTHING,
    "stages.under": NOTHING,
    "models.stack": "models of one shape: test_together",
    "models.unstack": "models of one shape: test_together",
    "training.Keeper": RECORD,
    "training.each_alone": "what fit returns: test_together",
    "training.fit": "by way of recipes and forgetting",
}


def public() -> set[str]:
    """Every public function and class of the package, and the lab's methods."""
    names = {
        f"lab.Lab.{name}" for name in vars(Networks) | vars(Lab) if callable(getattr(Lab, name))
    }
    for _, place, _ in pkgutil.iter_modules(selective_amnesia.__path__):
        module = importlib.import_module(f"selective_amnesia.{place}")
        for name in getattr(module, "__all__", ()):
            it = vars(module)[name]
            if callable(it) and not (inspect.isclass(it) and issubclass(it, Exception)):
                names.add(f"{place}.{name}")
    return {name for name in names if "._" not in name}


def test_every_public_name_is_tried_here_or_says_why_not():
    tried = {".".join(name.split(".")[:2]) for name in SOUND} | ABOVE
    tried |= {f"lab.Lab.{name}" for name in IN_LAB}
    assert public() - tried == ELSEWHERE.keys()
