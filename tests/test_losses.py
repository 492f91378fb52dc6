import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from selective_amnesia.losses import elbo_terms, ewc, replay, surrogate
from selective_amnesia.models import one_hot


def test_elbo_is_that_of_torch_distributions(small_cvae):
    x, c = torch.rand(6, 20), one_hot([0, 1, 2, 3, 0, 1], 4)
    torch.manual_seed(1)
    bce, kl = elbo_terms(small_cvae, x, c)
    torch.manual_seed(1)
    mu, log_var = small_cvae.encode(x, c)
    q = Normal(mu, torch.exp(log_var / 2))
    z = mu + q.stddev * torch.randn_like(mu)
    p = Bernoulli(logits=small_cvae.decode_logits(z, c), validate_args=False)
    torch.testing.assert_close(bce, -p.log_prob(x).sum(-1))
    torch.testing.assert_close(kl, kl_divergence(q, Normal(0.0, 1.0)).sum(-1))


def test_surrogate_is_the_elbo_of_uniform_noise(small_cvae):
    c = one_hot([2] * 5, 4)
    torch.manual_seed(3)
    got = surrogate(small_cvae, c)
    torch.manual_seed(3)
    noise = torch.rand(5, 20)
    torch.testing.assert_close(got, sum(elbo_terms(small_cvae, noise, c)))


def test_replay_is_the_elbo_of_the_originals_samples(small_cvae):
    import copy

    original = copy.deepcopy(small_cvae)
    with torch.no_grad():
        for p in small_cvae.parameters():
            p.add_(0.1 * torch.randn_like(p))
    c = one_hot([0, 3], 4)
    torch.manual_seed(4)
    got = replay(small_cvae, original, c)
    torch.manual_seed(4)
    x = original.decode(torch.randn(2, 3), c).detach()
    torch.testing.assert_close(got, sum(elbo_terms(small_cvae, x, c)))


def test_ewc_by_hand():
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]])}
    anchor = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[2.5]])}
    fisher = {"a": torch.tensor([10.0, 1.0]), "b": torch.tensor([[8.0]])}
    assert float(ewc(weights, anchor, fisher)) == 10 * 1 + 1 * 4 + 8 * 0.25
