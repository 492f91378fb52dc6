import pytest
import torch
import torch.nn.functional as F
from torch import nn

from selective_amnesia.models.classifiers import Judge
from selective_amnesia.models.frozen import Banded, FrozenJudge, Whole, fused
from selective_amnesia.referees.cnn import RefereeCNN


def learned(network: nn.Module) -> nn.Module:
    """A network whose batch normalisation has seen images, with factors of both signs."""
    torch.manual_seed(0)
    network.train()(torch.rand(64, 784))
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return network.eval()


def gradient(answers: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(sum(a.square().mean() for a in answers), x)[0]


@pytest.mark.parametrize("images", [1, 7])
def test_the_frozen_judge_is_the_judge(images):
    judge, x = learned(Judge()), torch.rand(images, 784, requires_grad=True)
    shallow, deep = judge.features(x)
    wanted = shallow, deep, judge.classify(deep)
    frozen = FrozenJudge(judge)
    shallow, deep = frozen.features(x)
    got = shallow.permute(0, 3, 1, 2), deep.permute(0, 3, 1, 2), frozen.classify(deep)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient(got, x), gradient(wanted, x), rtol=1e-4, atol=1e-7)


def test_what_the_judge_learns_later_does_not_reach_the_frozen_one():
    judge, x = learned(Judge()), torch.rand(2, 784)
    frozen = FrozenJudge(judge)
    before = frozen.classify(frozen.features(x)[1])
    with torch.no_grad():
        for weight in judge.parameters():
            weight.add_(1)
    assert torch.equal(frozen.classify(frozen.features(x)[1]), before)
    assert not [p for p in frozen.parameters() if p.requires_grad]


def test_a_fused_network_says_the_same_and_the_other_is_left_alone():
    referee, x = learned(RefereeCNN()), torch.rand(5, 784, requires_grad=True)
    before = {k: v.clone() for k, v in referee.state_dict().items()}
    quick = fused(referee)
    assert not [m for m in quick.modules() if isinstance(m, nn.BatchNorm2d)]
    wanted, got = referee(x), quick(x)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient((got,), x), gradient((wanted,), x), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(v, before[k]) for k, v in referee.state_dict().items())
    assert all(p.requires_grad for p in referee.parameters())


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [None, torch.randn(4)])
def test_a_banded_convolution_is_the_convolution(stride, bias):
    maps, weight = torch.randn(2, 3, 11, 13), torch.randn(4, 3, 3, 3)
    wanted = F.conv2d(maps, weight, bias, stride=stride)
    block = {1: 11, 2: 3}[stride]
    got = Banded(weight, bias, block, stride)(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "size"), [(1, 3), (3, 5), (4, 3)])
def test_a_whole_convolution_is_the_padded_one(side, size):
    maps, weight = torch.randn(2, 3, side, side), torch.randn(4, 3, size, size)
    bias = torch.randn(4)
    wanted = F.conv2d(maps, weight, bias, padding=size // 2)
    got = Whole(weight, bias, side)(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
