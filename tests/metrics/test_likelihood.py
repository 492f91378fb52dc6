import itertools
import math

import pytest
import torch
from torch import nn

from selective_amnesia.metrics import likelihood as module
from selective_amnesia.metrics.likelihood import (
    FAMILIES,
    Settings,
    as_pixels,
    log_likelihood,
    strongest_condition,
)
from selective_amnesia.models.elbo import reconstruction_bce


class Tiny(nn.Module):
    """A decoder of ReLUs with a code of one or two numbers, whose integral can be done by hand."""

    classes = 2

    def __init__(self, z_dim, pixels, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.z_dim = z_dim
        self.layers = nn.Sequential(nn.Linear(z_dim + 2, 24), nn.ReLU(), nn.Linear(24, pixels))
        self.requires_grad_(False)
        self.layers[2].weight *= 6

    def decode_logits(self, z, c):
        return self.layers(torch.cat([z, c], -1))


class Silent(nn.Module):
    """A decoder that does not listen to its code."""

    classes, z_dim = 2, 3

    def decode_logits(self, z, c):
        return c[:, :1] * torch.linspace(-3, 3, 9) + 0 * z[:, :1]


CONDITION = torch.tensor([1.0, 0.0])


def by_quadrature(model, images, pixels, reach=7.0, points=701):
    """-log of the integral over z, summed over a grid."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * model.z_dim).view(-1, model.z_dim)
    logits = model.double().decode_logits(z, CONDITION.double().expand(len(z), -1))
    model.float()
    log_prior = -0.5 * z.square().sum(1) - model.z_dim / 2 * math.log(2 * math.pi)
    cell = model.z_dim * math.log(float(axis[1] - axis[0]))
    log_partition = FAMILIES[pixels].log_partition(logits)
    found = [
        -((x.double() * logits - log_partition).sum(1) + log_prior).logsumexp(0) - cell
        for x in images
    ]
    return torch.stack(found).float()


@pytest.mark.parametrize("pixels", FAMILIES)
@pytest.mark.parametrize("z_dim", [1, 2])
def test_nats_are_the_integral(pixels, z_dim):
    model = Tiny(z_dim, 12)
    torch.manual_seed(1)
    images = as_pixels(torch.rand(6, 12), pixels)
    found = log_likelihood(model, images, CONDITION, Settings(samples=2000, pixels=pixels))
    torch.testing.assert_close(found.nats, by_quadrature(model, images, pixels), atol=0.05, rtol=0)
    torch.testing.assert_close(found.quarter, found.nats, atol=0.15, rtol=0)
    assert ((found.effective > 0.05) & (found.effective <= 1)).all()


def test_where_the_code_does_nothing_the_nats_are_the_pixels_alone():
    images = torch.rand(5, 9)
    logits = Silent().decode_logits(torch.zeros(5, 3), CONDITION.expand(5, -1))
    found = log_likelihood(Silent(), images, CONDITION, Settings(pixels="grey", samples=2000))
    torch.testing.assert_close(found.nats, reconstruction_bce(logits, images), atol=0.05, rtol=0)


def test_black_and_white_pixels_make_a_probability():
    """Those of all images of four pixels sum to one; grey ones have no such normaliser."""
    model = Tiny(1, 4)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)))
    torch.manual_seed(2)
    nats = log_likelihood(model, every, CONDITION, Settings(samples=4000)).nats
    assert float(nats.neg().exp().sum()) == pytest.approx(1, abs=0.02)


def test_continuous_pixels_make_a_density():
    """Its integral over all images of one pixel is one."""
    model = Tiny(1, 1)
    every = torch.linspace(0, 1, 201).view(-1, 1)
    torch.manual_seed(2)
    how = Settings(samples=2000, pixels="continuous")
    density = log_likelihood(model, every, CONDITION, how).nats.neg().exp()
    assert float(torch.trapezoid(density, every[:, 0])) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("pixels", ["binary", "continuous"])
def test_the_variance_is_the_partition_s_second_derivative(pixels):
    family, logits = FAMILIES[pixels], torch.linspace(-60, 60, 240, dtype=torch.float64)
    slope = torch.func.grad(lambda l: family.log_partition(l).sum())  # noqa: E741
    _, second = torch.func.jvp(slope, (logits,), (torch.ones_like(logits),))
    torch.testing.assert_close(family.variance(logits), second, atol=1e-6, rtol=1e-3)


def test_grey_nats_are_at_least_the_mean_over_drawn_images():
    model = Tiny(2, 12)
    torch.manual_seed(3)
    grey = torch.rand(3, 12)
    how = Settings(samples=2000)
    drawn = torch.bernoulli(grey.expand(150, -1, -1)).flatten(0, 1)
    nats = log_likelihood(model, drawn, CONDITION, how).nats.unflatten(0, (150, -1))
    bound = log_likelihood(model, grey, CONDITION, Settings(samples=2000, pixels="grey")).nats
    assert (bound > nats.mean(0)).all()


def test_the_strongest_condition_is_stronger_than_any_label_s():
    model = Tiny(2, 12, seed=4)
    torch.manual_seed(5)
    secret = torch.tensor([0.3, 1.7])  # what drew the images, and no label
    z = torch.randn(60, 2)
    images = torch.bernoulli(model.decode_logits(z, secret.expand(60, -1)).sigmoid())
    how = Settings(samples=1000)
    found = strongest_condition(model, images, how)
    nats = {
        name: float(log_likelihood(model, images, c, how).nats.mean())
        for name, c in {"found": found, "secret": secret}.items()
    } | {
        str(k): float(log_likelihood(model, images, torch.eye(2)[k], how).nats.mean())
        for k in range(2)
    }
    assert nats["found"] < min(nats["0"], nats["1"]) - 0.05
    assert nats["found"] <= nats["secret"] + 0.05


def test_it_is_measured_on_images_that_the_attacker_has_not_seen(lab):
    tune, search, evaluate = (lab.data.third(0, part) for part in ("tune", "search", "evaluate"))
    whole, size = lab.data.of(0, test=True), len(tune)
    assert torch.equal(tune, whole[:size])
    in_turn = torch.stack([search, evaluate], 1).flatten(0, 1)  # spread alike over the rest
    assert torch.equal(in_turn, whole[size : 3 * size])


def test_a_lab_keeps_the_nats_of_a_label(lab, monkeypatch):
    brief = {"images": 8, "samples": 32, "steps": 5, "polish": 5}
    values = {n: lab.measure.metric(m, 0, "likelihood", **brief) for n, m in lab.trio({0}).items()}
    assert values["control"].shape == (3, 8)
    monkeypatch.setattr(module, "measure", None)  # kept: nothing is measured again
    again = lab.measure.metric(lab.control({0}), 0, "likelihood", **brief)
    assert torch.equal(again, values["control"])
    assert float(values["original"][0].mean()) < float(values["control"][0].mean())


def test_unknown_pixels_are_named():
    with pytest.raises(ValueError, match="pixels is 'grau': use one of binary, grey, continuous"):
        Settings(pixels="grau")
