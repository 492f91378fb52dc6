import pytest
import torch

from selective_amnesia.latent.radius import radius, radius_map


def shows(x):
    """An image whose first pixel is above 0.45 shows none of the two classes."""
    return torch.where(x[..., 0] > 0.45, 2, 1)


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
    assert torch.allclose(radius(Fading(), shows, 1, 0, z, 10), torch.full((3,), 0.4))
    assert radius(Fading(), shows, 0, 1, z, 10).tolist() == [0, 0, 0]
    table = radius_map(Fading(), shows, z, 10, "test")
    assert table.isnan().all(-1).tolist() == [[True, False], [False, True]]
    assert table[1, 0] == pytest.approx(0.4)
    assert table.shape == (2, 2, 3)
