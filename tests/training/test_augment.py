import torch

from selective_amnesia.data.dataset import pixels
from selective_amnesia.profiles import PROFILES
from selective_amnesia.training import augment


def test_blends_mix_different_labels_only():
    x, labels = torch.eye(4), torch.tensor([0, 0, 1, 2])
    mixed = augment.blends(x, labels, torch.full((4, 1), 0.5))
    assert torch.equal(mixed, 0.5 * torch.stack([x[0] + x[3], x[2] + x[1], x[3] + x[2]]))


def test_negatives_are_as_many_as_asked_for(digits):
    x, y = pixels(digits.train_images[:64]), digits.train_labels[:64]
    for labels in (y, torch.zeros_like(y)):  # of one label alone there is nothing to blend
        for count in (1, 7, 16, 32):
            images = augment.negatives(x, labels, count)
            assert images.shape == (count, 784)
            assert 0 <= images.min() <= images.max() <= 1


def test_disturbed_images_stay_where_they_are_and_keep_their_ink(digits):
    x = pixels(digits.train_images[:200])
    torch.manual_seed(0)
    y = augment.disturb(x, PROFILES["fast"].referee)
    assert y.shape == x.shape
    assert y.min() >= 0
    assert y.max() <= 1 + 1e-6  # a blur's weights come to one but for rounding
    assert 0.5 < (x != y).any(1).float().mean() < 0.95  # some stay as they are
    assert torch.cosine_similarity(x, y).mean() > 0.7


def test_thicker_strokes_are_wider_by_a_pixel_at_the_most():
    x = torch.zeros(50, 784)
    x.view(50, 28, 28)[:, 10:18, 14] = 1
    wide = augment.thicken(x, most=0.6)
    assert torch.equal(wide[x == 1], x[x == 1])
    beside = wide.view(50, 28, 28)[:, 12, (13, 15)]
    assert 0 <= beside.min() < 0.1
    assert 0.5 < beside.max() <= 0.6
    assert torch.equal(beside[:, 0], beside[:, 1])
    assert (wide.view(50, 28, 28)[:, 9:19, 13:16].sum((1, 2)) - wide.sum(1)).abs().max() < 1e-4


def test_corruption_is_haze_and_grain_in_patches():
    torch.manual_seed(0)
    x = torch.full((400, 784), 0.25)
    assert torch.equal(augment.corrupt(x, haze=0, grain=0), x)
    hazy = augment.corrupt(x, haze=0.8, grain=0)
    assert 0.25 <= hazy.min() <= hazy.max() <= 0.45  # at most 0.8 of the way to mid-grey
    grainy = augment.corrupt(x, haze=0, grain=0.1) - x
    assert abs(float(grainy.mean())) < 0.001
    # strength and patch are uniform on average: E[(0.1 s p)^2] = 0.01 / 3 * E[p^2]
    assert 0.02 < float(grainy.std()) < 0.04
