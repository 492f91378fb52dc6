"""Whatever settings, digits and shapes a reader tries: valid ones work, others are named.

Nothing but a ValueError or a TypeError may come out, and its message is one sentence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selective_amnesia import Lab, config, evaluation, interpolation, latent, training
from selective_amnesia.config import PROFILES
from selective_amnesia.data import load
from selective_amnesia.models import Judge, OneHotCVAE, Referee, one_hot

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
    decay=st.booleans(),
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
        for stage in (lab.amnesiac, lab.control, lab.trio, lab.explorer):
            assert attempt(stage, value) is None
        assert attempt(lab.radii, lab.cvae(), value) is None
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
