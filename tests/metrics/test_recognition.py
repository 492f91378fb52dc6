import math

import numpy as np
import pytest
import torch
from scipy import linalg

from selective_amnesia.metrics import recognition
from selective_amnesia.metrics.frechet import frechet_distance
from selective_amnesia.models.classifiers import Judge
from selective_amnesia.referees.cnn import RefereeCNN


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


@pytest.fixture
def classifiers():
    torch.manual_seed(0)
    return Judge().eval(), RefereeCNN().eval()


def test_scores_are_of_the_label_that_was_asked_for(classifiers):
    judge, referee = classifiers
    images, real, labels = torch.rand(10, 6, 784), torch.rand(40, 784), torch.arange(40) % 10
    scores = recognition.score(images, judge, referee, real, labels)
    by_judge, by_referee = judge(images[7]).softmax(-1), referee(images[7]).softmax(-1)
    torch.testing.assert_close(scores.judge[7], by_judge[:, 7])
    torch.testing.assert_close(scores.referee[7], by_referee[:, 7])
    torch.testing.assert_close(scores.judge_entropy[7], recognition.entropy(by_judge))
    assert scores.confusion.shape == (10, 11)
    torch.testing.assert_close(scores.confusion.sum(1), torch.ones(10))
    summary = scores.summary()
    assert summary["referee_probability"][7] == pytest.approx(by_referee[:, 7].mean().item())


def test_sample_metrics_are_what_the_scores_of_that_label_are(classifiers):
    judge, referee = classifiers
    images, real, labels = torch.rand(10, 6, 784), torch.rand(40, 784), torch.arange(40) % 10

    class Pixels:
        name = "pixels"

        def embed(self, x):
            return x

    scores = recognition.score(images, judge, referee, real, labels)
    own = real[labels == 7]
    found = recognition.evaluate_samples(images[7], 7, judge, referee, Pixels(), own)
    torch.testing.assert_close(found.judge, scores.judge[7])
    torch.testing.assert_close(found.referee, scores.referee[7])
    torch.testing.assert_close(found.frechet, scores.frechet[7])
    assert float(found.taken.float().mean()) == pytest.approx(float(scores.confusion[7, 7]))
    torch.testing.assert_close(found.nothing, referee(images[7]).softmax(-1)[:, 10])
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
