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
    y = recipes.disturb(x)
    assert y.shape == x.shape
    assert not torch.equal(x, y)
    assert abs(float(y.mean() / x.mean()) - 1) < 0.1
    overlap = torch.cosine_similarity(x, y).mean()
    assert overlap > 0.7


def test_the_original_learns_and_says_so(digits):
    config = dataclasses.replace(PROFILES["smoke"].cvae, steps=200, frames=4)
    z = torch.randn(3, 8)
    _, history, metrics = recipes.train_cvae(digits, config, seed=0, frames_z=z)
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
