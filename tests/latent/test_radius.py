import pytest
import torch

from selective_amnesia.latent.radius import radius, radius_map


class Threshold(torch.nn.Module):
    """Takes an image for none of the classes where its first pixel is above 0.45."""

    none = 2

    def forward(self, x):
        logit = 100 * (x[:, :1] - 0.45)
        return torch.cat([torch.zeros(len(x), 2), logit], -1)


class Fading(torch.nn.Module):
    """Decodes the condition's weight on class 0 into every pixel."""

    classes, z_dim = 2, 1

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def decode(self, z, c):
        return c[:, :1].expand(-1, 4)


def test_radius_is_where_the_first_image_shows_no_class():
    z = torch.zeros(3, 1)
    assert torch.allclose(radius(Fading(), Threshold(), 1, 0, z, 10), torch.full((3,), 0.4))
    assert radius(Fading(), Threshold(), 0, 1, z, 10).tolist() == [0, 0, 0]
    table = radius_map(Fading(), Threshold(), z, 10, "test")
    assert table.isnan().all(-1).tolist() == [[True, False], [False, True]]
    assert table[1, 0] == pytest.approx(0.4)
    assert table.shape == (2, 2, 3)
