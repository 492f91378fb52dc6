import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from selective_amnesia.metrics.distinguish import (
    FOLDS,
    cross_fitted,
    epsilon_bound,
    power,
    told_apart,
    true_positives,
)

RNG = np.random.default_rng(0)


def test_the_auc_is_the_share_of_ordered_pairs():
    x, y = RNG.integers(0, 8, 40), RNG.integers(0, 6, 30)  # with ties
    told = told_apart(x, y)
    truth = np.r_[np.ones(40), np.zeros(30)]
    assert told.auc == pytest.approx(roc_auc_score(truth, np.r_[x, y]))
    assert told.auc == pytest.approx(mannwhitneyu(x, y).statistic / (40 * 30))
    assert told_apart(y, x).auc == pytest.approx(1 - told.auc)


def test_delong_s_interval_holds_the_truth_as_often_as_it_says():
    apart = 1.0  # normal scores: AUC = Phi(apart / sqrt 2) = 0.7602
    hits = 0
    for _ in range(400):
        told = told_apart(RNG.normal(apart, 1, 40), RNG.normal(0, 1, 40))
        hits += told.low <= 0.7602 <= told.high
    assert 0.92 <= hits / 400 <= 0.985


def test_delong_s_error_is_that_of_the_published_formula():
    """By hand for three against two: V10 = (1, 1, 1/2), V01 = (1, 2/3)."""
    told = told_apart([3, 4, 1.5], [1, 2])
    error = math.sqrt(np.var([1, 1, 0.5], ddof=1) / 3 + np.var([1, 2 / 3], ddof=1) / 2)
    assert told.auc == pytest.approx(5 / 6)
    assert told.low == pytest.approx(5 / 6 - 1.959964 * error)


def test_separated_populations_still_have_an_interval():
    told = told_apart(range(10, 20), range(10))
    assert (told.auc, told.high) == (1, 1)
    assert told.low == pytest.approx(0.025 ** (1 / 10))  # ten pairs that share no model
    assert told.equivalence > 0.95


def test_strata_are_compared_within_themselves():
    """Digits differ more than models do: pooled, that drowns what tells the models apart."""
    digit = np.repeat(np.arange(5), 8)
    x, y = (100 * digit + RNG.normal(shift, 1, 40) for shift in (5, 0))
    assert told_apart(x, y).auc < 0.7
    assert told_apart(x, y, (digit, digit)).auc > 0.99
    with pytest.raises(ValueError, match="stratum"):
        told_apart(x, y, (digit, np.zeros(40)))
    with pytest.raises(ValueError, match="not a number"):
        told_apart([float("nan")], [1.0])


def test_equivalence_needs_models_enough():
    few = told_apart(RNG.normal(0, 1, 6), RNG.normal(0, 1, 6)).equivalence
    many = told_apart(RNG.normal(0, 1, 400), RNG.normal(0, 1, 400)).equivalence
    apart = told_apart(RNG.normal(2, 1, 400), RNG.normal(0, 1, 400)).equivalence
    assert many < 0.001 < 0.05 < few
    assert apart > 0.999


def test_true_positives_at_few_false_ones():
    y = np.arange(100)
    assert true_positives([94, 94.5, 95, 200], y) == 0.75  # 95 to 99 are the false ones
    assert true_positives([98, 98.5, 99.5], np.arange(100)[:10] + 90) == pytest.approx(1 / 3)


def test_epsilon_has_the_exact_intervals():
    """64 of 64 guessed right: the rate of true positives is at least 0.025^(1/64) at 97.5 %."""
    sure = epsilon_bound(np.ones(64), -np.ones(64))
    low = (0.05 / 4) ** (1 / 64)
    assert sure == pytest.approx(math.log(low / (1 - low)))
    assert epsilon_bound(RNG.choice([-1, 1], 64), RNG.choice([-1, 1], 64)) < 0.5
    assert epsilon_bound([-1.0], [1.0]) == 0


def auditor(apart, models, features=5):
    shift = np.zeros(features)
    shift[2] = apart
    x = np.r_[RNG.normal(0, 1, (models, features)) + shift, RNG.normal(0, 1, (models, features))]
    first, seeds = np.repeat([True, False], models), np.tile(np.arange(models), 2)
    scores = cross_fitted(x, first, seeds)
    return told_apart(scores[first], scores[~first])


def test_the_auditor_finds_what_was_planted_and_nothing_in_two_halves():
    planted = [auditor(2.0, 40) for _ in range(10)]
    assert all(told.low > 0.5 for told in planted)
    assert np.mean([told.auc for told in planted]) == pytest.approx(0.92, abs=0.05)
    halves = [auditor(0.0, 40) for _ in range(40)]
    assert sum(told.low > 0.5 for told in halves) <= 5
    assert np.mean([told.auc for told in halves]) == pytest.approx(0.5, abs=0.05)


def test_the_discriminant_is_scikit_learns():
    """Of features of any scale, alike or without any spread."""
    x, first = RNG.normal(0, 1, (32, 20)), np.arange(32) < 16
    x[:, 0] *= 50
    x[:, 1] = 2
    x[:, 2] = x[:, 3]
    linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    for features in (x, x[:, 4:5]):
        scores = cross_fitted(features, first, np.arange(32) % FOLDS)
        model, split = (
            make_pipeline(StandardScaler(), linear),
            PredefinedSplit(np.arange(32) % FOLDS),
        )
        theirs = cross_val_predict(model, features, first, cv=split, method="decision_function")
        assert scores == pytest.approx(theirs)


def test_more_models_see_more():
    few, many = power(8, 0.75, draws=200), power(64, 0.75, draws=200)
    assert many[0] > 0.95 > few[0]
    assert power(64, 0.5, draws=200)[1] > 0.8 > power(8, 0.5, draws=200)[1]
