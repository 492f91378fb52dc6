import numpy as np
import pytest
import torch

from selective_amnesia.latent import encodings


@pytest.fixture(scope="module", autouse=True)
def uncompiled():
    """What UMAP would compile for minutes runs as it is; the notebooks' tests compile it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        yield


def test_blind_encodings_ignore_the_label(small_cvae):
    x = torch.rand(6, 20)
    some, others = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([3, 2, 1, 0, 1, 2])
    blind = [encodings.encodings(small_cvae, x, y, blind=True) for y in (some, others)]
    assert torch.equal(*blind)
    labelled = [encodings.encodings(small_cvae, x, y) for y in (some, others)]
    assert not torch.allclose(*labelled)
    assert labelled[0].shape == (6, 3)


def test_a_code_that_did_not_move_stays_on_the_page(clouds):
    z, _ = clouds
    moved = z.clone()
    moved[0] += 5
    points = encodings.pca({"original": z, "amnesiac": moved})
    still = np.abs(points["original"] - points["amnesiac"]).max(1) < 1e-5
    assert still[1:].all()
    assert not still[0]


def test_umap_is_fitted_on_the_first_and_applied_to_the_others(clouds):
    z, labels = clouds
    swapped = z.clone()
    swapped[0], swapped[1] = z[1], z[0]
    points = encodings.umap({"original": z, "same": z, "amnesiac": swapped}, 0, 5)
    assert points["original"].shape == (80, 2)
    assert np.allclose(points["original"], points["same"])
    side = points["original"][labels == 0].mean(0), points["original"][labels == 1].mean(0)
    for image, home in ((0, 1), (1, 0)):
        there = np.linalg.norm(points["amnesiac"][image] - side[home])
        assert there < np.linalg.norm(points["amnesiac"][image] - side[1 - home])


def test_tsne_embeds_the_same_images_of_every_set_together(clouds, capfd):
    z = clouds[0][:30]
    points = encodings.tsne({"original": z, "amnesiac": z.clone()}, seed=0)
    assert points["original"].shape == points["amnesiac"].shape == (30, 2)
    again = encodings.tsne({"original": z, "amnesiac": z.clone()}, seed=0)
    assert np.allclose(points["original"], again["original"])
    captured = capfd.readouterr()
    assert "Iteration" not in captured.out
    assert "1000/1000" in captured.err


def test_umap_wants_more_points_than_neighbours(clouds):
    z, _ = clouds
    with pytest.raises(ValueError, match=r"UMAP needs more points than its 15 neighbours.* has 10"):
        encodings.umap({"original": z[:10]}, 0, 15)


def test_umap_leaves_torchs_threads_as_they_were(clouds, monkeypatch):
    import umap

    class Greedy:
        def __init__(self, **_settings):
            pass

        def fit_transform(self, z):
            torch.set_num_threads(7)  # as numba does
            return z

    monkeypatch.setattr(umap, "UMAP", Greedy)
    before = torch.get_num_threads()
    encodings.umap({"first": clouds[0]}, 0, 5)
    assert torch.get_num_threads() == before != 7
