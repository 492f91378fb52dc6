"""Intervals by the bootstrap, bias-corrected and accelerated (BCa; Efron 1987), by scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

RESAMPLES = 2000


def interval(values: Tensor, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of the mean of values (N,)."""
    return paired_interval([values.flatten()], np.mean, seed)


def paired_interval(
    samples: Sequence[Tensor], statistic: Callable[..., Any], seed: int = 0
) -> tuple[float, float]:
    """A 95 % interval of a statistic of samples (N,) each, whose places are drawn together.

    Args:
        statistic: arrays (..., N), one for each sample, and `axis=-1` -> (...).
    """
    from scipy.stats import bootstrap  # takes as long to load as all of the lab

    arrays = [sample.detach().cpu().double().numpy() for sample in samples]
    point = float(statistic(*arrays, axis=-1))
    if len(arrays[0]) < 2 or all(np.ptp(array) == 0 for array in arrays):
        return point, point  # nothing varies
    for method in ("BCa", "percentile"):  # BCa is not defined where nearly nothing varies
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = bootstrap(
                arrays,
                statistic,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=250,
                method=method,
                random_state=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(found).all():
            break
    return float(found.low), float(found.high)
