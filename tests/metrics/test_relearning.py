import pytest
import torch

from selective_amnesia.config import RelearningConfig
from selective_amnesia.metrics import relearning

CONFIG = RelearningConfig(steps=20, draws=2, samples=40, evaluations=4, images=(1, 5))


def test_it_leaves_the_model_alone_and_is_the_same_each_time(lab):
    model, x = lab.amnesiac({0}), lab.data.of(0, 5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (relearning.relearning(model, x, 0, lab.panel, CONFIG, seed=3) for _ in range(2))
    assert a.shape == (5,)
    assert torch.equal(a, b)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_it_brings_the_label_back(lab):
    config = RelearningConfig(steps=60, samples=40, evaluations=4)
    x = lab.data.of(0, 20)
    curve = relearning.relearning(lab.amnesiac({0}), x, 0, lab.panel, config, seed=3)
    assert curve[-1] > curve[0] + 0.3


def test_steps_to_a_level_and_the_area_under_a_curve():
    at, curve = (0, 1, 4, 10), torch.tensor([0.0, 0.2, 0.8, 0.8])
    assert relearning.steps_to(curve, at) == 4
    assert relearning.steps_to(curve, at, level=0.9) is None
    assert relearning.steps_to(1 - curve, at) == 0
    # trapezoids: 0.1 * 1 + 0.5 * 3 + 0.8 * 6, over 10 steps
    assert float(relearning.area(curve, at)) == pytest.approx(0.64)
