import numpy as np
import pytest
import torch

from selective_amnesia import latent


@pytest.fixture
def clouds():
    """Two clouds of 40 codes each, far apart."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(80, 4, generator=generator)
    labels = torch.arange(80) % 2
    z[labels == 1] += 20
    return z, labels


def test_blind_encodings_ignore_the_label(small_cvae):
    x = torch.rand(6, 20)
    some, others = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([3, 2, 1, 0, 1, 2])
    blind = [latent.encodings(small_cvae, x, y, blind=True) for y in (some, others)]
    assert torch.equal(*blind)
    labelled = [latent.encodings(small_cvae, x, y) for y in (some, others)]
    assert not torch.allclose(*labelled)
    assert labelled[0].shape == (6, 3)


def test_a_code_that_did_not_move_stays_on_the_page(clouds):
    z, _ = clouds
    moved = z.clone()
    moved[0] += 5
    points = latent.pca({"original": z, "amnesiac": moved})
    still = np.abs(points["original"] - points["amnesiac"]).max(1) < 1e-5
    assert still[1:].all()
    assert not still[0]


def test_umap_is_fitted_on_the_first_and_applied_to_the_others(clouds):
    z, labels = clouds
    swapped = z.clone()
    swapped[0], swapped[1] = z[1], z[0]
    points = latent.umap({"original": z, "same": z, "amnesiac": swapped}, 5, seed=0)
    assert points["original"].shape == (80, 2)
    assert np.allclose(points["original"], points["same"])
    side = points["original"][labels == 0].mean(0), points["original"][labels == 1].mean(0)
    for image, home in ((0, 1), (1, 0)):
        there = np.linalg.norm(points["amnesiac"][image] - side[home])
        assert there < np.linalg.norm(points["amnesiac"][image] - side[1 - home])


def test_tsne_embeds_the_same_images_of_every_set_together(clouds, capfd):
    z, _ = clouds
    points = latent.tsne({"original": z, "amnesiac": z.clone()}, 30, seed=0)
    assert points["original"].shape == points["amnesiac"].shape == (30, 2)
    again = latent.tsne({"original": z, "amnesiac": z.clone()}, 30, seed=0)
    assert np.allclose(points["original"], again["original"])
    captured = capfd.readouterr()
    assert "Iteration" not in captured.out
    assert "1000/1000" in captured.err


def test_purity_and_silhouette_tell_clouds_from_a_mixture(clouds):
    z, labels = clouds
    mixed = labels[torch.randperm(80, generator=torch.Generator().manual_seed(1))]
    assert latent.purity(z, labels).tolist() == [1] * 80
    assert latent.purity(z, mixed).mean() == pytest.approx(0.5, abs=0.1)
    assert latent.silhouette(z, labels, 50, 0).mean() > 0.8
    assert latent.silhouette(z, mixed, 50, 0).mean().abs() < 0.1


def test_centroid_shift_is_the_length_of_the_mean_move_with_its_interval(clouds):
    z, labels = clouds
    move = torch.randn(80, 4, generator=torch.Generator().manual_seed(2)) * 0.1
    move[labels == 1] += torch.tensor([3.0, 4.0, 0, 0])
    table = latent.centroid_shift(z, z + move, labels, classes=3)
    assert table[1, 0] == pytest.approx(5, abs=0.1)
    assert (table[:2, 1] <= table[:2, 2]).all()
    assert table[1, 1] < table[1, 0] < table[1, 2]
    assert table[0, 0] < 0.1
    assert table[2].isnan().all()
    still = latent.centroid_shift(z, z, labels, classes=2)
    assert still.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_main_directions_are_those_of_the_spread():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5000, 3, generator=generator) * torch.tensor([1.0, 5.0, 2.0]) + 7
    directions, spread = latent.main_directions(z)
    assert torch.allclose(directions @ directions.T, torch.eye(2), atol=1e-5)
    assert directions[0, 1] > 0.99
    assert directions[1, 2] > 0.99
    assert spread.tolist() == pytest.approx([5, 2], rel=0.05)


def test_plane_goes_right_and_up():
    directions = torch.eye(3)[:2]
    codes = latent.plane(directions, extent=2, steps=5)
    assert codes.shape == (5, 5, 3)
    assert codes[0, -1].tolist() == [2, 2, 0]
    assert codes[-1, 0].tolist() == [-2, -2, 0]
    assert codes[2, 2].tolist() == [0, 0, 0]


def test_rarest_are_the_farthest_out_of_that_digit():
    z = torch.tensor([[1.0], [-5.0], [3.0], [9.0]])
    assert latent.rarest(z, torch.tensor([0, 0, 0, 1]), 0, 2).tolist() == [1, 2]


def test_too_few_points_are_one_sentence(clouds):
    z, labels = clouds
    with pytest.raises(ValueError, match=r"UMAP needs more points than its 15 neighbours.* has 10"):
        latent.umap({"original": z[:10]}, 15, seed=0)
    with pytest.raises(ValueError, match=r"10 codes have no 10 neighbours"):
        latent.purity(z[:10], labels[:10])
    with pytest.raises(ValueError, match=r"at least two"):
        latent.silhouette(z[::2], labels[::2], 40, 0)


def test_codes_of_different_sizes_are_one_sentence(clouds):
    z, _ = clouds
    for project in (
        latent.pca,
        lambda codes: latent.umap(codes, 5, 0),
        lambda codes: latent.tsne(codes, 20, 0),
    ):
        with pytest.raises(ValueError, match=r"differ in size \(original 4, flat 2\)"):
            project({"original": z, "flat": z[:, :2]})
