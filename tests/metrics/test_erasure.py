import math

import numpy as np
import torch

from selective_amnesia.metrics.erasure import erasure, erasure_with_interval


def test_erasure_is_zero_for_the_original_and_one_for_the_control():
    assert erasure(100.0, 100.0, 140.0) == 0
    assert erasure(140.0, 100.0, 140.0) == 1
    assert erasure(np.array([110.0, 150.0]), 100.0, 140.0).tolist() == [0.25, 1.25]


def test_where_the_control_needs_no_more_there_was_nothing_to_erase():
    assert math.isnan(erasure(110.0, 120.0, 120.0))
    assert math.isnan(erasure(110.0, 120.0, 80.0))
    found = erasure(np.array([6.0, 6.0]), np.array([4.0, 9.0]), np.array([8.0, 8.0]))
    np.testing.assert_array_equal(found, [0.5, np.nan])


def test_the_interval_of_erasure_holds_it():
    generator = torch.Generator().manual_seed(0)
    original = 80 + torch.randn(200, generator=generator)
    control = original + 30 + torch.randn(200, generator=generator)
    model = original + 24 + 3 * torch.randn(200, generator=generator)
    value, low, high = erasure_with_interval(model, original, control)
    assert value == erasure(model.mean(), original.mean(), control.mean())
    assert low < value < high < low + 0.05
    assert erasure_with_interval(control, original, control) == (1, 1, 1)
    assert all(map(math.isnan, erasure_with_interval(model, control, original)))
