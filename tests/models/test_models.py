import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from selective_amnesia.models.classifiers import Judge, frozen, probabilities, side_of
from selective_amnesia.models.cvae import OneHotCVAE, decode_grid, one_hot, parameter_count
from selective_amnesia.models.elbo import elbo_terms, nats_for
from selective_amnesia.referees.cnn import RefereeCNN


def test_the_cvae_has_the_papers_shapes():
    model = OneHotCVAE()
    shapes = [tuple(p.shape) for name, p in model.named_parameters() if name.endswith("weight")]
    assert shapes == [
        (512, 794), (256, 512), (8, 256), (8, 256), (256, 18), (512, 256), (784, 512),
    ]  # fmt: skip
    assert parameter_count(model) == sum(a * b + a for a, b in shapes)


def test_the_cvae_encodes_and_decodes():
    model = OneHotCVAE()
    x, c = torch.rand(5, 784), one_hot([0, 1, 2, 3, 9], 10)
    logits, mu, log_var = model(x, c)
    assert logits.shape == (5, 784)
    assert mu.shape == log_var.shape == (5, 8)
    decoded = model.decode(mu, c)
    assert 0 <= decoded.min() <= decoded.max() <= 1
    torch.testing.assert_close(decoded, model.decode_logits(mu, c).sigmoid())


def test_a_grid_decodes_each_code_under_each_label(small_cvae):
    z = torch.randn(3, 3)
    grid = decode_grid(small_cvae, z)
    assert (grid.shape, grid.dtype) == ((4, 3, 20), torch.uint8)
    wanted = (small_cvae.decode(z, one_hot([2] * 3, 4)) * 255).round().byte()
    assert torch.equal(grid[2], wanted)


def test_the_judge_classifies_images():
    judge, x = Judge().eval(), torch.rand(2, 3, 784)
    shallow, deep = judge.features(x[0])
    assert (shallow.shape, deep.shape) == ((3, 10, 24, 24), (3, 20, 8, 8))
    p = probabilities(judge, x)
    assert p.shape == (2, 3, 10)
    torch.testing.assert_close(p[0], judge(x[0]).softmax(-1).detach())
    assert side_of(x) == 28


@pytest.mark.parametrize("kind", [Judge, RefereeCNN])
def test_a_frozen_classifier_says_the_same_and_the_other_is_left_alone(kind):
    torch.manual_seed(0)
    network = kind()
    network.train()(torch.rand(64, 784))
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):  # of factors of both signs
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    network.eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    quick, x = frozen(network), torch.rand(5, 784, requires_grad=True)
    wanted, got = network(x), quick(x)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    ours, theirs = (torch.autograd.grad(y.square().mean(), x)[0] for y in (got, wanted))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1)
    assert torch.equal(quick(x), got)


def test_the_elbo_is_that_of_torch_distributions(small_cvae):
    x, c = torch.rand(6, 20), one_hot([0, 1, 2, 3, 0, 1], 4)
    torch.manual_seed(1)
    bce, kl = elbo_terms(small_cvae, x, c)
    torch.manual_seed(1)
    mu, log_var = small_cvae.encode(x, c)
    q = Normal(mu, torch.exp(log_var / 2))
    z = mu + q.stddev * torch.randn_like(mu)
    logits = small_cvae.decode_logits(z, c)
    likelihood = Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)
    torch.testing.assert_close(bce, -likelihood)
    torch.testing.assert_close(kl, kl_divergence(q, Normal(0.0, 1.0)).sum(-1))
    torch.testing.assert_close(nats_for(logits, x, z), -likelihood + z.square().sum(-1) / 2)
