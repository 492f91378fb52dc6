import pytest
import torch
from torch import nn

from selective_amnesia.config import FisherConfig
from selective_amnesia.forgetting.fisher import (
    fisher_diagonal,
    relative_error,
    settling,
    squared_batch_mean,
    squared_gradients,
)
from selective_amnesia.models.cvae import one_hot
from selective_amnesia.models.elbo import nats_for


def fixed_noise_loss(noise):
    """The negative ELBO with given noise, image by image (N,): row n uses noise[n]."""

    def loss(model, x, c):
        mu, log_var = model.encode(x, c)
        z = mu + torch.exp(0.5 * log_var) * noise[: len(x)]
        energy = nats_for(model.decode_logits(z, c), x, z)
        return energy, 0.5 * (log_var.exp() - 1 - log_var).sum(-1)

    return loss


def test_it_is_a_plain_loop_of_one_sample_backward_passes(small_cvae):
    model, n = small_cvae, 12
    torch.manual_seed(0)
    c = one_hot(torch.arange(n) % 4, 4)
    x = model.decode(torch.randn(n, model.z_dim), c).detach()
    noise = torch.randn(n, model.z_dim)
    batched = squared_gradients(model, x, c, fixed_noise_loss(noise))
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(n):
        one = slice(i, i + 1)
        total = sum(t.sum() for t in fixed_noise_loss(noise[one])(model, x[one], c[one]))
        gradients = torch.autograd.grad(total, list(model.parameters()))
        for name, g in zip(expected, gradients, strict=True):
            expected[name] += g.square()
    assert batched.keys() == expected.keys()
    for name, reference in expected.items():
        assert (batched[name] - reference).norm() / reference.norm() < 1e-4, name


def test_every_sample_counts_once_whatever_the_last_batch_holds(small_cvae):
    seen, config = [], FisherConfig(samples=25, batch_size=10)
    made = fisher_diagonal(small_cvae, config, 0, on_batch=lambda n, _sums: seen.append(n))
    assert seen == [10, 20, 25]
    assert list(made) == [name for name, _ in small_cvae.named_parameters()]
    again = fisher_diagonal(small_cvae, config, 0)
    assert all(torch.equal(made[k], again[k]) for k in made)


def test_estimates_of_more_samples_agree_better(small_cvae):
    reference = fisher_diagonal(small_cvae, FisherConfig(samples=20_000), 1)
    few, many = settling(small_cvae, reference, [100, 10_000], 2)
    assert 0 < many < few / 3


def test_the_common_mistake_is_right_for_batches_of_one_and_too_small_otherwise(small_cvae):
    ones, batches = (FisherConfig(samples=200, batch_size=n) for n in (1, 100))
    right = fisher_diagonal(small_cvae, ones, 0)
    assert relative_error(squared_batch_mean(small_cvae, ones, 0), right) < 1e-5
    wrong = squared_batch_mean(small_cvae, batches, 0)
    assert sum(t.sum() for t in wrong.values()) < sum(t.sum() for t in right.values())


def test_layers_that_are_not_linear_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(TypeError, match=r"1\.bias, 1\.weight: the Fisher diagonal knows linear"):
        squared_gradients(model, torch.rand(3, 2), torch.rand(3, 2))
