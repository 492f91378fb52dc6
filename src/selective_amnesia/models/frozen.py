r"""Networks that nothing is to learn any more, arranged for what an attack asks of them: the
gradient of their answer by the image, a thousand times over.

The gradient through a convolution of few channels, or of maps of few pixels, is where torch's
kernels are slow on a CPU: it was half of an attack's time. But a convolution is linear, so for a
few neighbouring outputs y of a row at once it is a matrix product too,

    y = M p,    M[(j, o), (u, v, i)] = weight[o, i, u, v - j],    0 where it has no such column,

with p the patch of rows u, columns v and channels i that they see (here for stride 1). That
multiplies by some zeros, and takes half the time. Maps are (N, H, W, C) here, as the products leave
them, and batch normalisation is what it is once it has learned: a factor and a summand,

    y = x scale + shift,    scale = gamma / sqrt(var + eps),    shift = beta - mean scale.

Answers and gradients are the network's own, to rounding (tested).
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .classifiers import Judge, as_squares

Network = TypeVar("Network", bound=nn.Module)


class FrozenJudge(nn.Module):
    """The judge as it is now; what it learns later does not reach this copy."""

    @torch.no_grad()
    def __init__(self, judge: Judge) -> None:
        super().__init__()
        judge = copy.deepcopy(judge).requires_grad_(False)
        # wider blocks multiply by more zeros, narrower ones are more to cut and add up
        self.conv1 = Banded(judge.conv1.weight, judge.conv1.bias, block=8)
        self.conv2 = Banded(judge.conv2.weight, judge.conv2.bias, block=4)
        self.norm1, self.norm2 = Affine(judge.bn1), Affine(judge.bn2)
        self.fc1, self.fc2 = judge.fc1, judge.fc2

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, P) to the first convolution's maps (N, 24, 24, 10) and the second's
        (N, 8, 8, 20)."""
        shallow = self.conv1(as_squares(x).permute(0, 2, 3, 1))
        return shallow, self.conv2(F.relu(pooled(self.norm1(shallow), 2)))

    def classify(self, deep: Tensor) -> Tensor:
        """The second convolution's maps (N, 8, 8, 20) to logits (N, classes)."""
        h = F.relu(pooled(self.norm2(deep), 2)).permute(0, 3, 1, 2).flatten(1)
        logits: Tensor = self.fc2(F.relu(self.fc1(h)))
        return logits


class Banded(nn.Module):
    """A convolution without padding, by `block` outputs of a row at a time: (N, H, W, I) to
    (N, H', W', O). `block` divides W'.

    Args:
        weight: the convolution's, (O, I, k, k).
        bias: (O,), if it has one.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, block: int, stride: int = 1) -> None:
        super().__init__()
        self.channels, _, size, _ = weight.shape
        self.patch = size, size + (block - 1) * stride
        self.apart = stride, block * stride
        self.register_buffer("weight", _matrix(weight, *self.patch, stride=stride))
        self.register_buffer("bias", None if bias is None else bias.repeat(block))

    def forward(self, maps: Tensor) -> Tensor:
        outputs = F.linear(_patches(maps, self.patch, self.apart), self.weight, self.bias)
        maps_of: Tensor = outputs.unflatten(-1, (-1, self.channels)).flatten(2, 3)
        return maps_of


class Whole(nn.Module):
    """A convolution that keeps its maps' size, all outputs at once: (N, H, W, I) to (N, H, W, O).
    For maps of a few pixels, where most of a convolution is padding.

    Args:
        weight: the convolution's, (O, I, k, k).
        bias: (O,).
        side: H and W.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, side: int) -> None:
        super().__init__()
        matrix = _matrix(weight, side, side, padding=weight.shape[-1] // 2)
        self.register_buffer("weight", matrix)
        self.register_buffer("bias", bias.repeat(side * side))

    def forward(self, maps: Tensor) -> Tensor:
        return F.linear(maps.flatten(1), self.weight, self.bias).view(*maps.shape[:3], -1)


class Affine(nn.Module):
    """Batch normalisation that has learned, on maps (..., C)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", norm.bias - norm.running_mean * scale)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.scale + self.shift


def pooled(maps: Tensor, size: int) -> Tensor:
    """The largest of size x size neighbours at every second place: (N, H, W, C) to
    (N, H', W', C)."""
    return F.max_pool2d(maps.permute(0, 3, 1, 2), size, 2).permute(0, 2, 3, 1)


def _matrix(weight: Tensor, rows: int, columns: int, stride: int = 1, padding: int = 0) -> Tensor:
    """What a convolution with that weight does to a patch, as a matrix (outputs, inputs); both
    are counted row by row, channels last."""
    size = rows * columns * weight.shape[1]
    each = torch.eye(size, device=weight.device).view(size, rows, columns, -1)
    outputs = F.conv2d(each.permute(0, 3, 1, 2), weight, stride=stride, padding=padding)
    return outputs.permute(0, 2, 3, 1).flatten(1).T.contiguous()


def _patches(maps: Tensor, patch: tuple[int, int], apart: tuple[int, int]) -> Tensor:
    """Maps (N, H, W, C) to the R x B patches of rows x columns in them, so far apart:
    (N, R, B, rows * columns * C)."""
    (rows, columns), (down, right) = patch, apart
    height, width = maps.shape[1:3]
    lefts = range(0, width - columns + 1, right)
    strips = torch.stack([maps[:, :, i : i + columns] for i in lefts], 2).flatten(3)
    return torch.cat([strips[:, i : i + height - rows + 1 : down] for i in range(rows)], -1)


@torch.no_grad()
def fused(network: Network) -> Network:
    """A frozen copy whose convolutions have their batch normalisation inside, channels last."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for layers in list(network.modules()):
        if isinstance(layers, nn.Sequential):
            for i, (layer, after) in enumerate(pairwise(list(layers))):
                if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                    layers[i] = fuse_conv_bn_eval(layer, after)
                    layers[i + 1] = nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
