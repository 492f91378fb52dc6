import pytest
import torch

from selective_amnesia.latent import geometry


def test_purity_and_silhouette_tell_clouds_from_a_mixture(clouds):
    z, labels = clouds
    mixed = labels[torch.randperm(80, generator=torch.Generator().manual_seed(1))]
    assert geometry.purity(z, labels).tolist() == [1] * 80
    assert geometry.purity(z, mixed).mean() == pytest.approx(0.5, abs=0.1)
    assert geometry.silhouette(z, labels, 50, 0).mean() > 0.8
    assert geometry.silhouette(z, mixed, 50, 0).mean().abs() < 0.1


def test_centroid_shift_is_the_length_of_the_mean_move_with_its_interval(clouds):
    z, labels = clouds
    move = torch.randn(80, 4, generator=torch.Generator().manual_seed(2)) * 0.1
    move[labels == 1] += torch.tensor([3.0, 4.0, 0, 0])
    table = geometry.centroid_shift(z, z + move, labels, classes=3)
    assert table[1, 0] == pytest.approx(5, abs=0.1)
    assert (table[:2, 1] <= table[:2, 2]).all()
    assert table[1, 1] < table[1, 0] < table[1, 2]
    assert table[0, 0] < 0.1
    assert table[2].isnan().all()
    still = geometry.centroid_shift(z, z, labels, classes=2)
    assert still.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_main_directions_are_those_of_the_spread():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5000, 3, generator=generator) * torch.tensor([1.0, 5.0, 2.0]) + 7
    directions, spread = geometry.main_directions(z)
    assert torch.allclose(directions @ directions.T, torch.eye(2), atol=1e-5)
    assert directions[0, 1] > 0.99
    assert directions[1, 2] > 0.99
    assert spread.tolist() == pytest.approx([5, 2], rel=0.05)


def test_plane_goes_right_and_up():
    directions = torch.eye(3)[:2]
    codes = geometry.plane(directions, extent=2, steps=5)
    assert codes.shape == (5, 5, 3)
    assert codes[0, -1].tolist() == [2, 2, 0]
    assert codes[-1, 0].tolist() == [-2, -2, 0]
    assert codes[2, 2].tolist() == [0, 0, 0]


def test_rarest_are_the_farthest_out_of_that_label():
    z = torch.tensor([[1.0], [-5.0], [3.0], [9.0]])
    assert geometry.rarest(z, torch.tensor([0, 0, 0, 1]), 0, 2).tolist() == [1, 2]
