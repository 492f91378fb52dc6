import math

import pytest
import torch
from scipy.stats import norm

from selective_amnesia.metrics.statistics import interval, paired_interval


def test_the_interval_is_that_of_the_normal_distribution_and_narrows():
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    low, high = interval(values)
    mean, error = float(values.mean()), norm.ppf(0.975) * float(values.std()) / 1000**0.5
    assert (low, high) == pytest.approx((mean - error, mean + error), rel=0.01)
    few = interval(values[:50])
    assert few[1] - few[0] > 3 * (high - low)
    assert interval(values) == (low, high)  # of a seed


@pytest.mark.parametrize("values", [[0.3], [0.25] * 7])
def test_what_does_not_vary_has_no_width(values):
    assert interval(torch.tensor(values)) == pytest.approx((values[0], values[0]))


@pytest.mark.filterwarnings("error")
def test_a_statistic_that_does_not_vary_has_its_own_value():
    """Where BCa is not a number the percentiles stand, without a warning."""
    a = torch.arange(9.0)
    assert paired_interval([a, a + 2], lambda x, y, axis: (y - x).mean(axis)) == (2, 2)


@pytest.mark.filterwarnings("error")
def test_what_is_not_a_number_stays_so():
    assert all(map(math.isnan, interval(torch.tensor([0.0, float("nan")]))))


def test_pairs_are_drawn_together():
    """Two columns that vary alike have a difference that hardly does."""
    a = 100 * torch.rand(50, generator=torch.Generator().manual_seed(0))
    b = a + 1 + 0.1 * torch.rand(50, generator=torch.Generator().manual_seed(1))
    low, high = paired_interval([a, b], lambda x, y, axis: y.mean(axis) - x.mean(axis))
    assert 1 < low < high < 1.1
