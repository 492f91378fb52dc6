import pytest
import torch
from torch import nn

from selective_amnesia.config import DescriptionConfig
from selective_amnesia.metrics.description import code_length, description_length


class Line(nn.Module):
    """A decoder whose best code and condition are known: logits = 4 (c_0 + z) in every pixel."""

    classes, z_dim = 2, 1

    def decode_logits(self, z, c):
        return (4 * (c[:, :1] + z)).expand(-1, 20)

    def decode(self, z, c):
        return self.decode_logits(z, c).sigmoid()


IMAGES = torch.tensor([0.9, 0.8]).view(2, 1).expand(-1, 20)
ENTROPY = (torch.special.entr(IMAGES) + torch.special.entr(1 - IMAGES)).sum(1)


@pytest.mark.parametrize("change", [{}, {"more_starts": 2}, {"steps": 20, "polish": 100}])
def test_description_length_is_the_fewest_nats(change):
    config = DescriptionConfig(**{"steps": 300, "lr": 0.05} | change)
    found = description_length(Line(), IMAGES, config)
    assert (found > ENTROPY).all()
    torch.testing.assert_close(found, ENTROPY, rtol=0.02, atol=0.1)


def test_the_codes_alone_have_to_do_where_conditions_stay():
    config, c = DescriptionConfig(steps=300, lr=0.05), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = code_length(Line(), IMAGES, c, config)
    z = torch.linspace(-1, 2, 3001)
    for nats, x, condition in zip(found, IMAGES, c, strict=True):
        logits = (4 * (condition[0] + z)).unsqueeze(1).expand(-1, 20)
        bce = nn.functional.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        )
        assert float(nats) == pytest.approx(float((bce.sum(1) + z**2 / 2).min()), abs=0.05)


def test_a_model_needs_fewer_nats_for_what_it_knows(lab):
    x, config = lab.data.of(0, 20, test=True), DescriptionConfig(steps=60)
    known, unknown = (description_length(lab.cvae(), images, config) for images in (x, 1 - x))
    assert known.shape == (20,)
    assert known.mean() < unknown.mean()
