import math

import numpy as np
import pytest
import torch

from selective_amnesia import evaluation
from selective_amnesia.models import Judge, Referee


def test_entropy_of_the_uniform_and_of_the_certain():
    p = torch.stack([torch.full((10,), 0.1), torch.eye(10)[3]])
    torch.testing.assert_close(evaluation.entropy(p), torch.tensor([math.log(10), 0.0]))


def test_frechet_distance_of_known_gaussians():
    """Diagonal covariances: |m|^2 + sum (s_a - s_b)^2."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    b = 2 * torch.randn(200_000, 3, generator=generator, dtype=torch.float64) + 1
    assert evaluation.frechet_distance(a, b) == pytest.approx(3 + 3, rel=0.03)
    assert evaluation.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_against_the_matrix_square_root():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    b = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5)
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = scipy_linalg.sqrtm(ca @ cb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    got = evaluation.frechet_distance(torch.from_numpy(a), torch.from_numpy(b))
    assert got == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_needs_two_images():
    with pytest.raises(ValueError, match="at least two"):
        evaluation.frechet_distance(torch.rand(1, 3), torch.rand(5, 3))


def test_interval_holds_the_mean_and_narrows():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(1000, generator=generator)
    low, high = evaluation.interval(values)
    wide_low, wide_high = evaluation.interval(values[:50])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 1000**0.5, rel=0.1)
    assert wide_high - wide_low > 3 * (high - low)


def test_score_reads_the_label_that_was_asked_for():
    torch.manual_seed(0)
    judge, referee = Judge().eval(), Referee().eval()
    images = torch.rand(10, 6, 784)
    real, labels = torch.rand(40, 784), torch.arange(40) % 10
    scores = evaluation.score(images, judge, referee, real, labels)
    by_judge = judge(images[7]).softmax(-1)
    by_referee = referee(images[7]).softmax(-1)
    torch.testing.assert_close(scores.judge[7], by_judge[:, 7])
    torch.testing.assert_close(scores.referee[7], by_referee[:, 7])
    torch.testing.assert_close(scores.judge_entropy[7], evaluation.entropy(by_judge))
    assert scores.confusion.shape == (10, 11)
    torch.testing.assert_close(scores.confusion.sum(1), torch.ones(10))


def test_models_with_one_seed_are_asked_with_the_same_codes(small_cvae):
    a, b = (evaluation.samples(small_cvae, 5, seed=3) for _ in range(2))
    assert a.shape == (4, 5, 20)
    assert torch.equal(a, b)
    assert not torch.equal(a, evaluation.samples(small_cvae, 5, seed=4))


@pytest.mark.parametrize("per_label", [0, -3, 2.5])
def test_a_count_that_is_none_is_refused(small_cvae, per_label):
    with pytest.raises(ValueError, match=f"per_label is {per_label}: use a whole number"):
        evaluation.samples(small_cvae, per_label, seed=0)


def test_spread_is_the_mean_over_all_pairs():
    embedded = torch.randn(3, 7, 5, dtype=torch.float64)
    pairs = torch.cdist(embedded, embedded).square().sum((-2, -1)) / (7 * 6)
    torch.testing.assert_close(evaluation.spread(embedded), pairs)
