import dataclasses

import torch

from selective_amnesia import recipes
from selective_amnesia.config import PROFILES
from selective_amnesia.data import pixels


def test_blends_mix_different_digits_only():
    x = torch.eye(4)
    labels = torch.tensor([0, 0, 1, 2])
    mixed = recipes.blends(x, labels, torch.full((4, 1), 0.5))
    expected = 0.5 * torch.stack([x[0] + x[3], x[2] + x[1], x[3] + x[2]])
    assert torch.equal(mixed, expected)


def test_non_digits_are_as_many_as_asked_for(digits):
    x, y = pixels(digits.train_images[:64]), digits.train_labels[:64]
    for count in (1, 7, 16, 32):
        images = recipes.non_digits(x, y, count)
        assert images.shape == (count, 784)
        assert 0 <= images.min() <= images.max() <= 1
    alike = torch.zeros_like(y)
    assert recipes.non_digits(x, alike, 20).shape == (20, 784)


def test_disturbed_digits_stay_where_they_are_and_keep_their_ink(digits):
    x = pixels(digits.train_images[:200])
    y = recipes.disturb(x, PROFILES["fast"].referee)
    assert y.shape == x.shape
    assert 0 <= y.min() <= y.max() <= 1
    changed = (x != y).any(1).float().mean()
    assert 0.5 < changed < 0.95  # some stay as they are
    overlap = torch.cosine_similarity(x, y).mean()
    assert overlap > 0.7


def test_soil_is_haze_and_grain_in_patches():
    torch.manual_seed(0)
    x = torch.full((400, 784), 0.25)
    assert torch.equal(recipes.soil(x, haze=0, grain=0), x)
    hazy = recipes.soil(x, haze=0.8, grain=0)
    assert hazy.min() >= 0.25
    assert hazy.max() <= 0.45  # at most 0.8 of the way to mid-grey
    grainy = recipes.soil(x, haze=0, grain=0.1) - x
    assert abs(float(grainy.mean())) < 0.001
    # strength and patch are uniform on average: E[(0.1 s p)^2] = 0.01 / 3 * E[p^2]
    assert 0.02 < float(grainy.std()) < 0.04


def test_the_original_learns_and_says_so(digits):
    config = dataclasses.replace(PROFILES["smoke"].cvae, steps=200, frames=4)
    z = torch.randn(3, 8)
    [(_, history, metrics)] = recipes.train_cvaes(digits, config, seeds=[0], frames_z=[z])
    assert metrics["test_loss"] < 0.6 * float(history["test_loss"][0])
    assert abs(metrics["test_loss"] - metrics["test_bce"] - metrics["test_kl"]) < 0.01
    assert history["frames"].shape == (5, 10, 3, 784)
    assert history["frames"].dtype == torch.uint8
    assert history["watch_step"][-1] == 200


def test_judge_and_referee_learn(digits):
    judge = dataclasses.replace(PROFILES["smoke"].judge, steps=150)
    _, _, metrics = recipes.train_judge(digits, judge, seed=0)
    assert metrics["test_accuracy"] > 0.8
    referee = dataclasses.replace(PROFILES["smoke"].referee, steps=250)
    _, _, metrics = recipes.train_referee(digits, referee, seed=0)
    assert metrics["test_accuracy"] > 0.7
    assert min(metrics[k] for k in ("noise_rejected", "grey_rejected", "blank_rejected")) > 0.9
