r"""Can an auditor tell two populations of models apart by their features?

**AUC**: the probability that a model of the first population scores above one of the second, ties
counted half; one half is a coin. Its standard error is DeLong's (DeLong et al., Biometrics 1988).
Models of several forget sets are compared within their own: `strata`.

**Epsilon**: an unlearned model that is (epsilon, 0)-indistinguishable from a retrained one allows
no test with a rate of true positives above e^epsilon times that of false ones, nor of true
negatives above e^epsilon times that of false ones. Exact intervals (Clopper & Pearson 1934) of
those rates give a lower bound.

**Equivalence**: that no difference was found shows nothing. Two one-sided tests (Schuirmann 1987)
ask whether |AUC - 1/2| is below a margin that is set beforehand.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

ACCESS = ("samples", "decoder", "weights", "original")  # what an auditor may look at, ever more
MARGIN = 0.2  # AUCs from 0.3 to 0.7 count as no difference
LEVEL = 0.05
FOLDS = 5

NORMAL = NormalDist()
BEYOND = NORMAL.inv_cdf(1 - LEVEL / 2)  # standard errors on either side of a value

Numbers = NDArray[np.float64]


class Told(NamedTuple):
    """How well scores tell the first population from the second.

    `low` and `high` are the AUC's 95 % interval, `equivalence` the p-value of two one-sided tests
    (small: no difference beyond the margin).
    """

    auc: float
    low: float
    high: float
    equivalence: float


def told_apart(
    first: ArrayLike,
    second: ArrayLike,
    strata: tuple[ArrayLike, ArrayLike] | None = None,
    margin: float = MARGIN,
) -> Told:
    """The AUC of scores (M,) against scores (N,).

    Args:
        strata: of each score (M,) and (N,), the group within which it is compared.

    Raises:
        ValueError: a stratum has scores of one population alone, or a score is not a number.
    """
    value, error, pairs = _auc(first, second, strata)
    if value in (0, 1):
        far = (LEVEL / 2) ** (1 / pairs)  # exact, from as many independent pairs
        low, high = (far, 1.0) if value else (0.0, 1 - far)
    else:
        low, high = max(0.0, value - BEYOND * error), min(1.0, value + BEYOND * error)
    gap = (margin - abs(value - 0.5)) / error if error else math.inf * (margin - abs(value - 0.5))
    return Told(value, low, high, NORMAL.cdf(-gap))


def _auc(
    first: ArrayLike, second: ArrayLike, strata: tuple[ArrayLike, ArrayLike] | None
) -> tuple[float, float, int]:
    """AUC, its standard error, and the number of pairs that share no model."""
    x, y = (np.asarray(scores, float).ravel() for scores in (first, second))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a score is not a number: leave that model out")
    groups = (np.zeros(len(x)), np.zeros(len(y))) if strata is None else map(np.asarray, strata)
    of_x, of_y = groups
    if set(of_x) != set(of_y):
        raise ValueError("a stratum has models of one population alone: leave it out")
    value, variance, pairs = 0.0, 0.0, 0
    for group in sorted(set(of_x)):
        own, other = x[of_x == group], y[of_y == group]
        above = (own[:, None] > other) + 0.5 * (own[:, None] == other)
        weight = len(own) / len(x)
        value += weight * above.mean()
        spread = float(
            sum(p.var(ddof=1) / len(p) for p in (above.mean(1), above.mean(0)) if len(p) > 1)
        )
        if spread == 0 and above.mean() in (0, 1):  # DeLong's knows nothing of the next model
            far = (LEVEL / 2) ** (1 / min(above.shape))
            spread = ((1 - far) / BEYOND) ** 2
        variance += weight**2 * spread
        pairs += min(above.shape)
    return float(value), math.sqrt(variance), pairs


def true_positives(first: ArrayLike, second: ArrayLike, false: float = 0.05) -> float:
    """The share of scores (M,) above a threshold that at most the share `false` of scores (N,)
    is above."""
    x, y = np.asarray(first, float), np.sort(np.asarray(second, float))
    allowed = math.floor(false * len(y) + 1e-9)
    return float((x > y[len(y) - 1 - allowed]).mean())


def epsilon_bound(first: ArrayLike, second: ArrayLike) -> float:
    """A 95 % lower bound on epsilon from scores whose sign is the auditor's guess: above 0 for the
    first population. The threshold must not have been chosen on them."""
    x, y = np.asarray(first), np.asarray(second)
    right, wrong = int((x > 0).sum()), int((y > 0).sum())
    found = 0.0
    for (hits, of), (errors, among) in (
        ((right, len(x)), (wrong, len(y))),
        ((len(y) - wrong, len(y)), (len(x) - right, len(x))),
    ):
        # each of the four limits is passed with a probability of at most a quarter of the level
        low = betaincinv(hits, of - hits + 1, LEVEL / 4) if hits else 0.0
        high = betaincinv(errors + 1, among - errors, 1 - LEVEL / 4) if errors < among else 1.0
        if low > 0:
            found = max(found, math.log(low / high))
    return found


def cross_fitted(features: ArrayLike, first: ArrayLike, fold_of: ArrayLike) -> Numbers:
    """The scores (N,) that a linear discriminant (with shrunk covariance, Ledoit & Wolf) gives each
    model after learning from those of other folds; above 0 it guesses the first population.

    Args:
        features: (N, F).
        first: (N,), whether each model is of the first population.
        fold_of: (N,), e.g. seeds: models of one are never learned from and scored at once.
    """
    x, is_first = np.asarray(features, float), np.asarray(first, bool)
    folds = np.unique(np.asarray(fold_of), return_inverse=True)[1] % FOLDS
    scores = np.empty(len(x))
    for fold in np.unique(folds):
        asked = folds == fold
        z = x / _spread(x[~asked])
        weights, middle = _discriminant(z[~asked & is_first], z[~asked & ~is_first])
        scores[asked] = (z[asked] - middle) @ weights
    return scores


def _discriminant(first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    """Weights (F,) and the point (F,) between populations (M, F) and (N, F) where the score is 0,
    both populations being as likely."""
    covariance = (_shrunk_covariance(first) + _shrunk_covariance(second)) / 2
    ahead = first.mean(0) - second.mean(0)
    return np.linalg.lstsq(covariance, ahead, rcond=None)[0], (first.mean(0) + second.mean(0)) / 2


def _shrunk_covariance(x: Numbers) -> Numbers:
    """Of models (N, F): drawn to one variance for all features, each in units of its spread, by as
    much as the covariances of single models differ (Ledoit & Wolf, J. Multivariate Anal. 2004)."""
    n, f = x.shape
    spread = _spread(x)
    z = (x - x.mean(0)) / spread
    plain = z.T @ z / n
    aim = plain.trace() / f * np.eye(f)
    noise = ((z**2).T @ z**2 / n - plain**2).sum() / n
    distance = ((plain - aim) ** 2).sum()
    share = noise / distance if noise < distance else 1.0
    shrunk: Numbers = (1 - share) * plain + share * aim
    return shrunk * np.outer(spread, spread)


def _spread(x: Numbers) -> Numbers:
    """Standard deviations (F,) over models (N, F), 1 where all are alike."""
    spread = x.std(0)
    return np.where(spread > 0, spread, 1.0)


def power(
    models: int, auc: float, *, margin: float = MARGIN, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """How often `models` of each population, normal and so far apart, give an interval that leaves
    out one half, and how often they are found equivalent."""
    rng, apart = np.random.default_rng(seed), math.sqrt(2) * NORMAL.inv_cdf(auc)
    found = [
        told_apart(rng.normal(apart, 1, models), rng.normal(0, 1, models), margin=margin)
        for _ in range(draws)
    ]
    different = np.mean([told.low > 0.5 or told.high < 0.5 for told in found])
    return float(different), float(np.mean([told.equivalence < LEVEL for told in found]))
