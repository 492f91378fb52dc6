import pytest
import torch

from selective_amnesia.models import Judge, OneHotCVAE, Referee, one_hot, parameter_count


def test_cvae_has_the_papers_shapes():
    model = OneHotCVAE()
    shapes = [tuple(p.shape) for name, p in model.named_parameters() if name.endswith("weight")]
    assert shapes == [
        (512, 794), (256, 512), (8, 256), (8, 256), (256, 18), (512, 256), (784, 512),
    ]  # fmt: skip
    assert parameter_count(model) == sum(a * b + a for a, b in shapes)


def test_cvae_encodes_and_decodes():
    model = OneHotCVAE()
    x, c = torch.rand(5, 784), one_hot([0, 1, 2, 3, 9], 10)
    logits, mu, log_var = model(x, c)
    assert logits.shape == (5, 784)
    assert mu.shape == log_var.shape == (5, 8)
    painted = model.decode(mu, c)
    assert 0 <= painted.min() <= painted.max() <= 1
    assert torch.allclose(painted, model.decode_logits(mu, c).sigmoid())


def test_judge_and_referee_see_images():
    x = torch.rand(3, 784)
    shallow, deep = Judge().features(x)
    assert shallow.shape == (3, 10, 24, 24)
    assert deep.shape == (3, 20, 8, 8)
    assert Judge()(x).shape == (3, 10)
    assert Referee()(x).shape == (3, 11)
    assert Referee().features(x).shape == (3, 64)


@pytest.mark.parametrize("label", [-1, 10])
def test_one_hot_refuses_what_is_no_class(label):
    with pytest.raises(ValueError, match=f"label {label} is not a class: use 0 to 9"):
        one_hot([0, label], 10)
