import pytest
import torch
from torch import nn

from selective_amnesia import fisher
from selective_amnesia.config import FisherConfig
from selective_amnesia.fisher import (
    fisher_diagonal,
    relative_error,
    squared_batch_mean,
    squared_gradients,
)
from selective_amnesia.models import one_hot


def fixed_noise_loss(noise):
    """The negative ELBO with given noise, image by image (N,): row n uses noise[n]."""

    def loss(model, x, c):
        mu, log_var = model.encode(x, c)
        z = mu + torch.exp(0.5 * log_var) * noise[: len(x)]
        bce = nn.functional.binary_cross_entropy_with_logits(
            model.decode_logits(z, c), x, reduction="none"
        ).sum(-1)
        return bce, 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)

    return loss


def test_fisher_is_a_plain_loop_of_one_sample_backward_passes(lab):
    model = lab.cvae()
    n = 24
    torch.manual_seed(0)
    c = one_hot(torch.arange(n) % 10, 10)
    x = model.decode(torch.randn(n, model.z_dim), c).detach()
    noise = torch.randn(n, model.z_dim)
    batched = squared_gradients(model, x, c, fixed_noise_loss(noise))
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(n):
        model.zero_grad()
        one = fixed_noise_loss(noise[i : i + 1])
        sum(t.sum() for t in one(model, x[i : i + 1], c[i : i + 1])).backward()
        for name, p in model.named_parameters():
            expected[name] += p.grad.square()
    model.zero_grad()
    for name, reference in expected.items():
        error = (batched[name] - reference).norm() / reference.norm()
        assert error < 1e-4, name


def test_in_bfloat16_it_is_the_same_within_what_the_samples_leave_open(lab, monkeypatch):
    monkeypatch.setattr(fisher, "fast_in_bfloat16", lambda device: True)
    full, other = (fisher_diagonal(lab.cvae(), FisherConfig(samples=2000), s) for s in (0, 1))
    half = fisher_diagonal(lab.cvae(), FisherConfig(samples=2000, half=True), 0)
    assert {t.dtype for t in half.values()} == {torch.float32}
    error = relative_error(half, full)
    assert 0 < error < relative_error(other, full) / 3


def test_fisher_diagonal_counts_every_sample_once(small_cvae):
    """Whatever the last batch's size is, the mean is over `samples`."""
    seen = []
    config = FisherConfig(samples=25, batch_size=10)
    made = fisher_diagonal(small_cvae, config, 0, watch=lambda n, sums: seen.append(n))
    assert seen == [10, 20, 25]
    assert made.keys() == dict(small_cvae.named_parameters()).keys()
    again = fisher_diagonal(small_cvae, config, 0)
    assert all(torch.equal(made[k], again[k]) for k in made)


def test_estimates_of_more_samples_agree_better(small_cvae):
    reference = fisher_diagonal(small_cvae, FisherConfig(samples=20_000), 1)
    few, many = (
        relative_error(fisher_diagonal(small_cvae, FisherConfig(samples=n), 2), reference)
        for n in (100, 10_000)
    )
    assert many < few / 3


def test_the_common_mistake_is_right_for_batches_of_one_and_too_small_otherwise(small_cvae):
    ones = FisherConfig(samples=200, batch_size=1)
    right = fisher_diagonal(small_cvae, ones, 0)
    assert relative_error(squared_batch_mean(small_cvae, ones, 0), right) < 1e-5
    batches = FisherConfig(samples=200, batch_size=100)
    wrong = squared_batch_mean(small_cvae, batches, 0)
    right = fisher_diagonal(small_cvae, batches, 0)
    assert sum(t.sum() for t in wrong.values()) < sum(t.sum() for t in right.values())


def test_layers_that_are_not_linear_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(TypeError, match=r"1\.bias, 1\.weight: the Fisher diagonal knows linear"):
        squared_gradients(model, torch.rand(3, 2), torch.rand(3, 2))
