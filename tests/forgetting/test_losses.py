import copy

import torch

from selective_amnesia.forgetting.losses import ewc, replay, surrogate
from selective_amnesia.models.cvae import one_hot
from selective_amnesia.models.elbo import elbo_terms


def test_surrogate_is_the_elbo_of_uniform_noise(small_cvae):
    c = one_hot([2] * 5, 4)
    torch.manual_seed(3)
    got = surrogate(small_cvae, c)
    torch.manual_seed(3)
    noise = torch.rand(5, 20)
    torch.testing.assert_close(got, sum(elbo_terms(small_cvae, noise, c)))


def test_replay_is_the_elbo_of_the_originals_samples(small_cvae):
    original = copy.deepcopy(small_cvae)
    with torch.no_grad():
        for p in small_cvae.parameters():
            p.add_(0.1 * torch.randn_like(p))
    c, other = one_hot([0, 3], 4), one_hot([1, 2], 4)
    for shown in (None, other):
        torch.manual_seed(4)
        got = replay(small_cvae, original, c, shown)
        torch.manual_seed(4)
        x = original.decode(torch.randn(2, 3), c if shown is None else shown).detach()
        torch.testing.assert_close(got, sum(elbo_terms(small_cvae, x, c)))


def test_ewc_by_hand():
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]])}
    anchor = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[2.5]])}
    fisher = {"a": torch.tensor([10.0, 1.0]), "b": torch.tensor([[8.0]])}
    assert float(ewc(weights, anchor, fisher)) == 10 * 1 + 1 * 4 + 8 * 0.25
