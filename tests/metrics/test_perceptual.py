import pickle

import lpips
import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from selective_amnesia.data.fetch import arrays_only
from selective_amnesia.metrics import perceptual
from selective_amnesia.metrics.recognition import spread
from selective_amnesia.models.classifiers import Judge
from selective_amnesia.storage.home import home


@pytest.fixture(scope="module")
def convolutions():
    """The real weights, kept with the other data; fetched once."""
    try:
        return perceptual.alexnet_weights(home() / "data")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_it_is_the_distance_of_the_package_lpips(convolutions):
    metric = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    for layer, part in zip(perceptual.LAYERS, "12345", strict=True):
        own = metric.net.get_submodule(f"slice{part}.{layer}")
        own.load_state_dict({k: convolutions[f"{layer}.{k}"] for k in ("weight", "bias")})
    x = torch.rand(6, 784, requires_grad=True)
    framed = pad(x.view(-1, 1, 28, 28), (2, 2, 2, 2)).expand(-1, 3, -1, -1)
    expected = metric(framed[:3], framed[3:], normalize=True).flatten()
    embedded = perceptual.Perceptual(convolutions).embed(x)
    got = (embedded[:3] - embedded[3:]).square().sum(1)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    ours, theirs = (torch.autograd.grad(d.sum(), x)[0] for d in (got, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_it_can_be_differentiated_even_where_an_image_is_blank(convolutions):
    x = torch.rand(4, 784)
    x[0] = 0
    x.requires_grad_()
    spread(perceptual.Perceptual(convolutions).embed(x)).backward()
    assert x.grad.isfinite().all()
    assert x.grad[1:].any()


def test_the_stand_in_is_an_angle_and_says_what_it_is():
    stand_in = perceptual.JudgeFeatures(Judge().eval())
    embedded = stand_in.embed(torch.rand(3, 784))
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    assert "no LPIPS" in stand_in.name


def test_a_pickle_may_hold_arrays_and_nothing_else(tmp_path):
    arrays = {"kernel": np.arange(6.0).reshape(2, 3)}
    read = arrays_only(pickle.dumps(arrays))
    assert np.array_equal(read["kernel"], arrays["kernel"])

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "proof"), "w"))

    with pytest.raises(pickle.UnpicklingError, match="is not admitted"):
        arrays_only(pickle.dumps(Evil()))
    assert not (tmp_path / "proof").exists()
