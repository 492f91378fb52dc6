import pytest
import torch
from torch import nn

from selective_amnesia import audit
from selective_amnesia.config import DescriptionConfig, RelearningConfig


class Line(nn.Module):
    """A decoder whose best code and condition are known: logits = 4 (c_0 + z) in every pixel."""

    classes, z_dim = 2, 1

    def decode_logits(self, z, c):
        return (4 * (c[:, :1] + z)).expand(-1, 20)

    def decode(self, z, c):
        return self.decode_logits(z, c).sigmoid()


def test_description_length_finds_the_fewest_nats():
    images = torch.tensor([0.9, 0.8]).view(2, 1).expand(-1, 20)
    got = audit.description_length(Line(), images, DescriptionConfig(steps=400, lr=0.05))
    entropy = torch.special.entr(images).sum(1) + torch.special.entr(1 - images).sum(1)
    assert (got > entropy).all()
    torch.testing.assert_close(got, entropy, rtol=0.02, atol=0.1)


def test_description_length_is_shorter_for_what_a_model_knows(lab):
    x = lab.data.test_images[lab.data.test_labels == 0][:20].float() / 255
    config = DescriptionConfig(steps=60)
    known = audit.description_length(lab.cvae(), x, config)
    unknown = audit.description_length(lab.cvae(), 1 - x, config)
    assert known.shape == (20,)
    assert known.mean() < unknown.mean()


def test_erasure_is_zero_for_the_original_and_one_for_the_control():
    original, control = torch.tensor([80.0, 100.0]), torch.tensor([120.0, 140.0])
    assert audit.erasure(original, original, control) == 0
    assert audit.erasure(control, original, control) == 1
    assert audit.erasure(torch.tensor([110.0, 110.0]), original, control) == 0.5


def test_the_interval_of_erasure_holds_it():
    generator = torch.Generator().manual_seed(0)
    original = 80 + torch.randn(200, generator=generator)
    control = original + 30 + torch.randn(200, generator=generator)
    model = original + 24 + 3 * torch.randn(200, generator=generator)
    value, low, high = audit.erasure_with_interval(model, original, control)
    assert value == audit.erasure(model, original, control)
    assert low < value < high
    assert high - low < 0.05


def test_a_model_without_the_interface_is_refused():
    with pytest.raises(TypeError, match="Linear has no decode, decode_logits, classes, z_dim"):
        audit.description_length(nn.Linear(2, 2), torch.rand(3, 2), DescriptionConfig(steps=1))


CONFIG = RelearningConfig(steps=20, draws=1, samples=40, looks=4)


def test_relearning_leaves_the_model_alone_and_is_the_same_each_time(lab):
    model, referee = lab.amnesiac({0}), lab.referee()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = lab.data.train_images[lab.data.train_labels == 0][:5].float() / 255
    a, b = (audit.relearning(model, x, 0, referee, CONFIG, seed=3) for _ in range(2))
    assert a.shape == (5,)
    assert torch.equal(a, b)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_relearning_brings_the_digit_back(lab):
    x = lab.data.train_images[lab.data.train_labels == 0][:20].float() / 255
    config = RelearningConfig(steps=60, samples=40, looks=4)
    curve = audit.relearning(lab.amnesiac({0}), x, 0, lab.referee(), config, seed=3)
    assert curve[-1] > curve[0] + 0.3


def test_steps_to_a_level_and_the_area_under_a_curve():
    watched = (0, 1, 4, 10)
    curve = torch.tensor([0.0, 0.2, 0.8, 0.8])
    assert audit.steps_to(curve, watched) == 4
    assert audit.steps_to(curve, watched, level=0.9) is None
    assert audit.steps_to(1 - curve, watched) == 0
    # trapezoids: 0.1 * 1 + 0.5 * 3 + 0.8 * 6, over 10 steps
    assert float(audit.area(curve, watched)) == pytest.approx(0.64)
