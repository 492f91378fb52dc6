import hashlib
import pickle

import lpips
import pytest
import torch
from torch.nn.functional import pad

from selective_amnesia import perceptual
from selective_amnesia.evaluation import spread
from selective_amnesia.models import Judge
from selective_amnesia.stages import home


@pytest.fixture(scope="module")
def convolutions():
    """The real weights, kept with the other data; fetched once."""
    try:
        return perceptual.trunk(home() / "data")
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


def test_wrong_weights_are_refused_from_every_source(tmp_path, monkeypatch):
    def broken():
        raise TimeoutError("timed out")

    wrong = {"0.weight": torch.zeros(3)}
    monkeypatch.setattr(perceptual, "SOURCES", {"liar": lambda: wrong, "broken": broken})
    with pytest.raises(FileNotFoundError, match="liar: wrong checksum; broken: TimeoutError"):
        perceptual.trunk(tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("damage", [b"", b"no tensors", "flipped"])
def test_a_damaged_file_is_fetched_again(damage, tmp_path, monkeypatch):
    genuine = {"0.weight": torch.arange(4.0)}
    digest = hashlib.sha256(b"0.weight" + genuine["0.weight"].numpy().tobytes()).hexdigest()
    monkeypatch.setattr(perceptual, "TRUNK_SHA256", digest)
    asked = []

    def mirror():
        asked.append(1)
        return genuine

    monkeypatch.setattr(perceptual, "SOURCES", {"mirror": mirror})
    perceptual.trunk(tmp_path)
    path = tmp_path / "lpips" / "alexnet.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x7f" if damage == "flipped" else damage)
    assert torch.equal(perceptual.trunk(tmp_path)["0.weight"], genuine["0.weight"])
    assert len(asked) == 2
    perceptual.trunk(tmp_path)
    assert len(asked) == 2


def test_a_pickle_may_hold_arrays_and_nothing_else(tmp_path):
    import io

    import numpy as np

    arrays = {"kernel": np.arange(6.0).reshape(2, 3)}
    read = perceptual._ArraysOnly(io.BytesIO(pickle.dumps(arrays))).load()
    assert np.array_equal(read["kernel"], arrays["kernel"])

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "proof"), "w"))

    with pytest.raises(pickle.UnpicklingError, match="is not admitted"):
        perceptual._ArraysOnly(io.BytesIO(pickle.dumps(Evil()))).load()
    assert not (tmp_path / "proof").exists()
