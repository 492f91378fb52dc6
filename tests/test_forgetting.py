import copy
import dataclasses

import pytest
import torch

from selective_amnesia.config import FitConfig, ForgetConfig
from selective_amnesia.forgetting import forget


def weights_of(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def fisher(small_cvae):
    return {k: torch.rand_like(p) for k, p in small_cvae.named_parameters()}


CONFIG = ForgetConfig(steps=20, batch_size=32, lr=1e-2)


def test_forgetting_never_changes_the_original(small_cvae, fisher):
    before = weights_of(small_cvae)
    [(model, _)] = forget("selective_amnesia", small_cvae, fisher, [{0}], CONFIG, seeds=[0])
    assert same(before, weights_of(small_cvae))
    assert all(p.requires_grad and p.grad is None for p in small_cvae.parameters())
    assert not same(before, weights_of(model))


def test_two_forget_sets_do_not_see_each_other(small_cvae, fisher):
    [(alone, _)] = forget(
        "selective_amnesia", copy.deepcopy(small_cvae), fisher, [{1, 2}], CONFIG, seeds=[0]
    )
    forget("selective_amnesia", small_cvae, fisher, [{0}], CONFIG, seeds=[0])
    [(after, _)] = forget("selective_amnesia", small_cvae, fisher, [{1, 2}], CONFIG, seeds=[0])
    assert same(weights_of(alone), weights_of(after))


def test_forgotten_label_paints_grey_and_kept_labels_stay(small_cvae):
    fisher = {k: torch.zeros_like(p) for k, p in small_cvae.named_parameters()}
    with torch.no_grad():
        small_cvae.decoder[-1].bias.copy_(3 * torch.randn(20))
    config = dataclasses.replace(CONFIG, steps=600, batch_size=64)
    [(model, history)] = forget("selective_amnesia", small_cvae, fisher, [{2}], config, seeds=[0])
    z = torch.randn(50, 3)
    labels = torch.eye(4)
    grey = model.decode(z, labels[2].expand(50, -1))
    assert (grey - 0.5).abs().mean() < 0.06
    for kept in (0, 1, 3):
        c = labels[kept].expand(50, -1)
        change = (model.decode(z, c) - small_cvae.decode(z, c)).abs().mean()
        assert change < 0.06
    assert history["forget"][-1] < history["forget"][0]


def test_ewc_holds_what_fisher_protects(small_cvae):
    """Weights with a huge Fisher entry stay; the others move."""
    fisher = {k: torch.zeros_like(p) for k, p in small_cvae.named_parameters()}
    fisher["decoder.0.weight"] += 1e6
    [(model, _)] = forget("selective_amnesia", small_cvae, fisher, [{0}], CONFIG, seeds=[0])
    moved = {
        k: float((p - q).detach().abs().max())
        for (k, p), q in zip(model.named_parameters(), small_cvae.parameters(), strict=True)
    }
    assert moved["decoder.0.weight"] < 0.2 * moved["decoder.4.weight"]


def test_nothing_left_to_keep_is_refused(small_cvae, fisher):
    with pytest.raises(ValueError, match="nothing would be left"):
        forget(
            "selective_amnesia", small_cvae, fisher, [{3}], CONFIG, seeds=[0], forgotten={0, 1, 2}
        )
    with pytest.raises(ValueError, match="leave at least one"):
        forget("selective_amnesia", small_cvae, fisher, [range(4)], CONFIG, seeds=[0])
    with pytest.raises(ValueError, match="digits from 0 to 3"):
        forget("selective_amnesia", small_cvae, fisher, [{4}], CONFIG, seeds=[0])


@pytest.mark.parametrize("change", [{"gamma": -1.0}, {"lam": float("nan")}, {"steps": -5}])
def test_bad_settings_are_refused(change):
    assert issubclass(ForgetConfig, FitConfig)
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)
