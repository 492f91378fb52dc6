import math

import pytest
import torch

from selective_amnesia.latent.interpolation import (
    code_walk,
    decode_path,
    decode_paths,
    label_path,
    label_walk,
    patchwork,
    slerp,
)

T = torch.linspace(0, 1, 11)


def test_slerp_turns_at_a_steady_rate_and_changes_length_linearly():
    a, b = torch.tensor([2.0, 0, 0]), torch.tensor([0, 4.0, 0])
    path = slerp(a, b, T)
    angles = torch.atan2(path[:, 1], path[:, 0])
    assert torch.allclose(angles, T * math.pi / 2, atol=1e-6)
    assert torch.allclose(path.norm(dim=-1), 2 + 2 * T, atol=1e-5)


@pytest.mark.parametrize("gap", [0.0, 1e-30, 1e-12, 1e-8, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("sign", [1, -1], ids=["parallel", "opposite"])
def test_slerp_is_stable_for_almost_parallel_and_almost_opposite_codes(sign, gap):
    a = torch.tensor([3.0, 4.0, 0.0])
    b = sign * a + gap * torch.tensor([0.0, 0.0, 1.0])
    path = slerp(a, b, T)
    assert path.isfinite().all()
    assert torch.allclose(path.norm(dim=-1), torch.full((11,), 5.0), atol=1e-4)
    steps = (path[1:] - path[:-1]).norm(dim=-1)
    assert steps.max() - steps.min() < 1e-4
    assert torch.equal(path[-1], b)


def test_slerp_from_the_origin_keeps_the_other_codes_direction():
    b = torch.tensor([0.0, 2.0])
    assert torch.allclose(slerp(torch.zeros(2), b, 0.5), torch.tensor([[0.0, 1.0]]))
    assert torch.equal(slerp(b, torch.zeros(2), 1.0), torch.zeros(1, 2))
    assert torch.equal(slerp(torch.zeros(2), torch.zeros(2), T), torch.zeros(11, 2))


def test_label_path_is_a_straight_line():
    path = label_path(7, 0, T)
    assert torch.allclose(path.sum(-1), torch.ones(11))
    assert torch.allclose(path[:, 0], T)
    assert torch.allclose(path[:, 7], 1 - T)
    assert label_path(1, 2, 0.25, classes=3).tolist() == [[0, 0.75, 0.25]]


def test_walks_pass_every_station_once():
    walk = label_walk([1, 0, 2, 1], steps=4, classes=3)
    assert walk.shape == (13, 3)
    assert walk[::4].argmax(-1).tolist() == [1, 0, 2, 1]
    stations = torch.randn(3, 5)
    codes = code_walk(stations, 4)
    assert torch.equal(codes[::4], stations)


def test_patchwork_has_its_corners_where_they_belong():
    corners = torch.randn(4, 5)
    grid = patchwork(corners, 6)
    assert grid.shape == (6, 6, 5)
    found = torch.stack([grid[0, 0], grid[0, -1], grid[-1, 0], grid[-1, -1]])
    assert torch.equal(found, corners)


def test_decode_path_broadcasts_codes_against_conditions(small_cvae):
    z, c = torch.randn(5, 3), label_path(1, 3, T, classes=4)
    images = decode_path(small_cvae, z, c.unsqueeze(1))
    assert images.shape == (11, 5, 20)
    assert decode_path(small_cvae, z[0], c[0]).shape == (20,)
    with torch.no_grad():
        alone = small_cvae.decode(z[2:3], c[4:5])[0]
    assert torch.allclose(images[4, 2], alone, atol=1e-6)


def test_decode_paths_gives_every_model_and_what_a_classifier_says(small_cvae):
    classifier = torch.nn.Linear(20, 5)
    z, c = torch.randn(5, 3), label_path(1, 3, T, classes=4).unsqueeze(1)
    images, says = decode_paths({"one": small_cvae, "same": small_cvae}, classifier, z, c)
    assert list(images) == list(says) == ["one", "same"]
    assert torch.equal(images["one"], decode_path(small_cvae, z, c))
    assert says["same"].shape == (11, 5, 5)
    assert torch.allclose(says["same"].sum(-1), torch.ones(11, 5))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3, 3, T), "both ends of the path are 3: choose two different labels"),
        ((3, 10, T), "10 is not a label: use 0 to 9"),
        ((-1, 3, T), "-1 is not a label"),
        (("3", 4, T), "'3' is not a label"),
        ((True, 4, T), "True is not a label"),
        ((3, 4, 1.5), "alpha is 1.5: use a number from 0 to 1"),
        ((3, 4, [0.0, -0.1]), "alpha is -0.1"),
        ((3, 4, math.nan), "alpha is nan"),
    ],
)
def test_bad_label_paths_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        label_path(*arguments)


def test_bad_walks_and_arcs_are_refused():
    with pytest.raises(ValueError, match=r"t is 2: use a number from 0 to 1"):
        slerp(torch.zeros(3), torch.zeros(3), 2)
    with pytest.raises(ValueError, match=r"both ends of the path are 5"):
        label_walk([1, 5, 5], 4)
    with pytest.raises(ValueError, match=r"a walk through \[1\] goes nowhere"):
        label_walk([1], 4)
