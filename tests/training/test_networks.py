"""What the original, the control and the judge learn."""

import dataclasses

import pytest
import torch

from selective_amnesia.config import CVAEConfig
from selective_amnesia.profiles import PROFILES
from selective_amnesia.training.classifiers import train_judge
from selective_amnesia.training.cvae import elbo_of, train_cvae

SMALL = CVAEConfig(steps=40, batch_size=64, lr=3e-3, hidden=(32, 16), kl_warmup=20, frames=4)


def test_the_original_learns_and_says_so(digits):
    config = dataclasses.replace(SMALL, steps=200)
    model, history, figures = train_cvae(digits, config, seed=0, frames_z=torch.randn(3, 8))
    assert figures["test_loss"] < 0.6 * float(history["test_loss"][0])
    assert figures["test_loss"] == pytest.approx(figures["test_bce"] + figures["test_kl"], abs=0.01)
    assert history["frames"].shape == (5, 10, 3, 784)
    assert history["frames"].dtype == torch.uint8
    assert history["eval_step"][-1] == figures["steps"] == 200
    bce, kl = elbo_of(model, digits.test_images, digits.test_labels)
    assert float((bce + kl).mean()) == pytest.approx(figures["test_loss"], rel=1e-4)


def test_a_control_never_sees_its_labels(digits):
    """What the images of those labels show makes no difference to it."""
    hidden = digits.train_labels.eq(3) | digits.train_labels.eq(8)
    images = digits.train_images.clone()
    images[hidden] = 255
    other = dataclasses.replace(digits, train_images=images)
    models = [train_cvae(d, SMALL, seed=0, without=(3, 8))[0] for d in (digits, other)]
    assert torch.equal(models[0].mu.weight, models[1].mu.weight)
    assert not torch.equal(models[0].mu.weight, train_cvae(other, SMALL, seed=0)[0].mu.weight)


def test_the_kl_term_is_phased_in(digits):
    config = dataclasses.replace(SMALL, log_every=1)
    history = train_cvae(digits, config, seed=0)[1]
    phase = (history["loss"] - history["bce"]) / history["kl"]
    wanted = [1 / 20, 10 / 20, 1, 1]
    assert phase[[0, 9, 19, 39]].tolist() == pytest.approx(wanted, abs=0.02)


def test_the_judge_learns(digits):
    config = dataclasses.replace(PROFILES["smoke"].judge, steps=150, last_batch=True)
    judge, _, figures = train_judge(digits, config, seed=0)
    assert figures["test_accuracy"] > 0.8
    assert not judge.training
