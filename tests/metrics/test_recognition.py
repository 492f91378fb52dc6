import math

import numpy as np
import pytest
import torch
from scipy import linalg

from selective_amnesia.metrics import recognition
from selective_amnesia.metrics.frechet import frechet_distance
from selective_amnesia.models.classifiers import Judge


def test_entropy_of_the_uniform_and_of_the_certain():
    p = torch.stack([torch.full((10,), 0.1), torch.eye(10)[3]])
    torch.testing.assert_close(recognition.entropy(p), torch.tensor([math.log(10), 0.0]))


def test_frechet_distance_of_known_gaussians():
    """Diagonal covariances: |m|^2 + sum (s_a - s_b)^2."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    b = 2 * torch.randn(200_000, 3, generator=generator, dtype=torch.float64) + 1
    assert frechet_distance(a, b) == pytest.approx(3 + 3, rel=0.03)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_that_of_the_matrix_square_root():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    b = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5)
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(ca @ cb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    got = frechet_distance(torch.from_numpy(a), torch.from_numpy(b))
    assert got == pytest.approx(expected, rel=1e-6)


class Pixels:
    name = "pixels"

    def embed(self, x):
        return x


def test_scores_and_sample_metrics_are_of_the_label_that_was_asked_for(panel_of):
    torch.manual_seed(0)
    judge, images = Judge().eval(), torch.rand(10, 6, 784)
    real, labels = torch.rand(40, 784), torch.arange(40) % 10
    votes = torch.randint(11, (5, 6)).clamp(min=6)  # of five members on the images of label 7
    votes[:, 0], votes[:, 1] = 7, 10
    panel = panel_of([lambda x, own=own: own[: len(x)] for own in votes.repeat(1, 10)])
    scores = recognition.score(images, judge, panel, real, labels)
    by_judge, shown = judge(images[7]).softmax(-1), panel.verdict(votes)
    torch.testing.assert_close(scores.judge[7], by_judge[:, 7])
    torch.testing.assert_close(scores.judge_entropy[7], recognition.entropy(by_judge))
    assert torch.equal(scores.panel[7], shown.eq(7).float())
    assert scores.confusion.shape == (10, 11)
    assert scores.confusion[7, 7] == scores.panel[7].mean()
    assert scores.confusion[7, 10] == shown.eq(10).float().mean()
    assert scores.summary()["panel_share"][7] == pytest.approx(float(shown.eq(7).float().mean()))

    own = real[labels == 7]
    found = recognition.evaluate_samples(images[7], 7, judge, panel, Pixels(), own)
    for name in ("judge", "panel", "frechet"):
        torch.testing.assert_close(getattr(found, name), getattr(scores, name)[7])
    assert torch.equal(found.members, votes.eq(7).float())
    assert torch.equal(found.nothing, shown.eq(10).float())
    torch.testing.assert_close(found.diversity, recognition.spread(images[7]))


def test_models_with_one_seed_are_given_the_same_codes(small_cvae):
    cpu = torch.device("cpu")
    a, b, other = (recognition.samples(small_cvae, 5, seed, cpu) for seed in (3, 3, 4))
    assert a.shape == (4, 5, 20)
    assert torch.equal(a, b)
    assert not torch.equal(a, other)


def test_spread_is_the_mean_over_all_pairs():
    embedded = torch.randn(3, 7, 5, dtype=torch.float64)
    pairs = torch.cdist(embedded, embedded).square().sum((-2, -1)) / (7 * 6)
    torch.testing.assert_close(recognition.spread(embedded), pairs)
