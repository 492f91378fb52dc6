import pytest
import torch


@pytest.fixture
def clouds():
    """Two clouds of 40 codes each, far apart."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(80, 4, generator=generator)
    labels = torch.arange(80) % 2
    z[labels == 1] += 20
    return z, labels
