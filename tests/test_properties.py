"""What holds whatever numbers one tries: the invariants of the mathematics, and of settings."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selective_amnesia.attacks.search import spanning_codes
from selective_amnesia.checks import forget_set, words
from selective_amnesia.config import Config, FitConfig
from selective_amnesia.latent.interpolation import label_walk, slerp
from selective_amnesia.metrics.erasure import erasure
from selective_amnesia.metrics.frechet import frechet_distance
from selective_amnesia.metrics.recognition import spread
from selective_amnesia.profiles import PROFILES
from selective_amnesia.training.loop import schedule
from selective_amnesia.training.random import Batches, eval_steps

quick = settings(max_examples=50, deadline=None, derandomize=True)

numbers = st.floats(-100, 100, width=32)
fractions = st.floats(0, 1)
seeds = st.integers(0, 2**31)


def vectors(size: int) -> st.SearchStrategy[torch.Tensor]:
    return st.lists(numbers, min_size=size, max_size=size).map(torch.tensor)


def cloud(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attempt(call: Callable, *args: object, **kwargs: object) -> object:
    """The answer, or None where it is refused in a sentence."""
    try:
        return call(*args, **kwargs)
    except (ValueError, TypeError) as error:
        sentence = str(error)
    assert sentence.strip()
    assert "\n" not in sentence


# --- paths ---------------------------------------------------------------------------------------


@quick
@given(a=vectors(4), b=vectors(4), t=fractions)
def test_an_arc_has_its_ends_and_lengths_between_them(a, b, t):
    start, between, end = slerp(a, b, [0.0, t, 1.0])
    assert torch.equal(start, a)
    assert torch.equal(end, b)
    length = (1 - t) * a.double().norm() + t * b.double().norm()
    assert between.norm() == pytest.approx(float(length), rel=1e-4, abs=1e-5)


@quick
@given(st.integers(2, 12), st.data())
def test_conditions_on_a_path_sum_to_one(classes, data):
    stations = data.draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=5))
    if all(a != b for a, b in pairwise(stations)):
        walk = label_walk(stations, 4, classes)
        assert walk.shape == (4 * (len(stations) - 1) + 1, classes)
        assert torch.allclose(walk.sum(1), torch.ones(len(walk)))
        assert walk[::4].argmax(1).tolist() == stations
    else:
        with pytest.raises(ValueError, match="choose two different labels"):
            label_walk(stations, 4, classes)


# --- distances and shares ------------------------------------------------------------------------


@quick
@given(seeds, st.integers(2, 9))
def test_spread_is_the_mean_over_all_pairs(seed, count):
    embedded = cloud(seed, count, 3)
    pairs = [(a - b).square().sum() for a, b in combinations(embedded, 2)]
    torch.testing.assert_close(spread(embedded), torch.stack(pairs).mean(), rtol=1e-4, atol=1e-5)


@quick
@given(seeds, st.integers(1, 5), st.floats(-3, 3))
def test_frechet_distance_is_symmetric_and_of_a_shift_its_square(seed, size, shift):
    a, b = cloud(seed, 20, size), 2 * cloud(seed + 1, 30, size)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)
    assert frechet_distance(a, a + shift) == pytest.approx(size * shift**2, rel=1e-4, abs=1e-6)
    turned, _ = torch.linalg.qr(cloud(seed + 2, size, size))
    assert frechet_distance(a @ turned, b @ turned) == pytest.approx(
        frechet_distance(a, b), rel=1e-3, abs=1e-4
    )


@quick
@given(original=numbers, worth=st.floats(0.1, 100), share=st.floats(-2, 3))
def test_erasure_is_the_share_of_the_way_to_the_control(original, worth, share):
    model = original + share * worth
    assert erasure(model, original, original + worth) == pytest.approx(share, abs=1e-3)
    assert math.isnan(erasure(model, original, original))
    assert math.isnan(erasure(model, original, original - worth))


@quick
@given(seeds, st.integers(1, 9), st.integers(1, 3))
def test_codes_that_span_have_the_moments_of_the_prior(seed, z_dim, bases):
    torch.manual_seed(seed)
    z = spanning_codes(2 * z_dim * bases, z_dim, torch.device("cpu"))
    torch.testing.assert_close(z.mean(0), torch.zeros(z_dim), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(z_dim), rtol=0, atol=1e-4)


# --- training ------------------------------------------------------------------------------------


@quick
@given(
    steps=st.integers(1, 10**6),
    lr=st.floats(1e-12, 1e3),
    decay=fractions,
    drop_every=st.integers(0, 10**6),
    data=st.data(),
)
def test_a_rate_is_above_zero_and_at_most_the_one_asked_for(steps, lr, decay, drop_every, data):
    warmup = data.draw(st.integers(0, steps - 1))
    config = FitConfig(
        steps=steps, batch_size=1, lr=lr, decay=decay, warmup=warmup, drop_every=drop_every
    )
    for step in {0, warmup, steps // 2, steps - 1}:
        assert 0 <= schedule(step, config) <= lr * (1 + 1e-9)
        assert schedule(step, config) > 0 or drop_every


@quick
@given(seed=seeds, rows=st.integers(1, 40), batch_size=st.integers(1, 50), last=st.booleans())
def test_an_epoch_is_a_permutation(seed, rows, batch_size, last):
    draw = Batches(
        torch.arange(rows), torch.arange(rows), batch_size=batch_size, seed=seed, last=last
    )
    for epoch in (0, 3):
        steps = range(epoch * draw.per_epoch, (epoch + 1) * draw.per_epoch)
        batches = [draw(step) for step in steps]
        assert all(torch.equal(x, y) for x, y in batches)
        seen = torch.cat([x for x, _ in batches]).tolist()
        assert len(set(seen)) == len(seen)
        assert len(seen) == rows if last else len(seen) > rows - draw.size


@quick
@given(steps=st.integers(1, 10**5), frames=st.integers(1, 40))
def test_what_is_looked_at_begins_at_the_start_and_ends_at_the_end(steps, frames):
    at = eval_steps(steps, frames)
    assert at[0] == 0
    assert at[-1] == steps
    assert list(at) == sorted(set(at))
    assert len(at) <= frames + 1


# --- settings ------------------------------------------------------------------------------------

CONFIGS = [c for c in vars(PROFILES["smoke"]).values() if isinstance(c, Config)]
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.floats(), st.text(max_size=3),
    st.lists(st.one_of(st.integers(-3, 12), st.floats(), st.text(max_size=2)), max_size=3),
)  # fmt: skip


@quick
@given(st.sets(st.integers(0, 11), min_size=1, max_size=11))
def test_every_forget_set_works_in_every_spelling(labels):
    wanted = tuple(sorted(labels))
    spellings = labels, list(labels), words(labels), ", ".join(map(str, labels)), words(wanted)
    assert {forget_set(each, 12) for each in spellings} == {wanted}


@quick
@given(st.one_of(anything, st.text("0123456789 ,", max_size=9)))
def test_any_forget_set_is_sound_or_refused_in_a_sentence(given):
    chosen = attempt(forget_set, given, 10)
    if chosen is not None:
        assert chosen == tuple(sorted(set(chosen)))
        assert 1 <= len(chosen) <= 9
        assert set(chosen) <= set(range(10))


@settings(quick, max_examples=200)
@given(st.data())
def test_a_setting_is_refused_in_a_sentence_or_survives_json(data):
    config = data.draw(st.sampled_from(CONFIGS))
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(config)]))
    changed = attempt(dataclasses.replace, config, **{name: data.draw(anything)})
    if changed is not None:
        again = type(config)(**json.loads(json.dumps(dataclasses.asdict(changed))))
        assert again == changed
        assert again.shaping() == changed.shaping()
