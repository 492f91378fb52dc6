"""Images as a referee has to know them: moved, blurred and corrupted, and images of nothing.

A referee that knows clean and sharp images alone takes softness and grain that nobody would notice
for strangeness; one that knows no negatives takes anything for something.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import RefereeConfig
from ..models.classifiers import side_of


def negatives(x: Tensor, labels: Tensor, count: int) -> Tensor:
    """Images (count, P) of none of the classes: noise, greys of every level with and without grain,
    blanks, and, for about half of them, blends of two images of different labels of the batch
    x (N, P)."""
    fifth, tenth = count // 5, count // 10
    noise = torch.rand(fifth, x.shape[1], device=x.device)
    grain = 0.1 * torch.rand(fifth, 1, device=x.device) * torch.randn_like(noise)
    grey = (torch.rand(fifth, 1, device=x.device) + grain).clamp(0, 1)
    weight = 0.4 + 0.2 * torch.rand(len(x), 1, device=x.device)
    mixed, different = _blended(x, labels, weight)
    first = (~different).byte().argsort(stable=True)[: count - 2 * fifth - tenth]
    mixed = torch.where(different[first, None], mixed[first], 0)  # of a size that is known ahead
    blank = x.new_zeros(count - 2 * fifth - len(mixed), x.shape[1])
    return torch.cat([noise, grey, mixed, blank])


def blends(x: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """weight * x_i + (1 - weight) * x_j for pairs of different labels, i and j = i + 1; weight is
    (N, 1)."""
    mixed, different = _blended(x, labels, weight)
    return mixed[different]


def _blended(x: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The blend of every image with the one before it, and whether their labels differ."""
    return weight * x + (1 - weight) * x.roll(1, 0), labels != labels.roll(1)


def disturb(x: Tensor, config: RefereeConfig) -> Tensor:
    """Images (N, P) as decoders generate them: half are turned, scaled and moved by a little, half
    are blurred, half are corrupted. The halves overlap, so every mixture occurs, and none of it."""
    quarter = len(x) // 4
    if quarter == 0:
        return _move(x)
    x = torch.cat([_move(x[: 2 * quarter]), x[2 * quarter :]])
    soft = _blur(x[quarter : 3 * quarter], config.blur)
    x = torch.cat([x[:quarter], soft, x[3 * quarter :]])
    chosen = torch.arange(len(x), device=x.device).remainder(2).eq(0).unsqueeze(1)
    return torch.where(chosen, corrupt(x, config.haze, config.grain), x)


def corrupt(x: Tensor, haze: float, grain: float) -> Tensor:
    """Grey haze and grain over images (N, P), each up to the strength given, in patches."""
    strength = torch.rand(2, len(x), 1, device=x.device)
    fog, speckle = haze * strength[0] * _patches(x), grain * strength[1] * _patches(x)
    return (x + fog * (0.5 - x) + speckle * torch.randn_like(x)).clamp(0, 1)


def _patches(x: Tensor) -> Tensor:
    """Smooth random fields in [0, 1], (N, P)."""
    n, side = len(x), side_of(x)
    coarse = torch.rand(n, 1, 4, 4, device=x.device)
    return F.interpolate(coarse, size=(side, side), mode="bilinear").view(n, -1)


def _move(x: Tensor, degrees: float = 10, scale: float = 0.1, shift: float = 2 / 14) -> Tensor:
    """Rotation, size and position (in half widths), uniform up to the limits given."""
    n, side = len(x), side_of(x)
    turn, size, *move = (2 * torch.rand(4, n, device=x.device) - 1).unbind()
    turn, size = torch.deg2rad(degrees * turn), 1 + scale * size
    cos, sin = size * turn.cos(), size * turn.sin()
    first = torch.stack([cos, -sin, shift * move[0]], -1)
    second = torch.stack([sin, cos, shift * move[1]], -1)
    grid = F.affine_grid(torch.stack([first, second], 1), [n, 1, side, side], align_corners=False)
    return F.grid_sample(x.view(n, 1, side, side), grid, align_corners=False).view(n, -1)


def _blur(x: Tensor, largest: float, reach: int = 3) -> Tensor:
    """A Gaussian blur of each image with a width of its own, up to `largest` pixels."""
    n, side = len(x), side_of(x)
    width = largest * torch.rand(n, 1, device=x.device) + 1e-3
    offsets = torch.arange(-reach, reach + 1, device=x.device)
    kernel = torch.softmax(-offsets.square() / (2 * width.square()), -1)
    y = x.view(1, n, side, side)
    y = F.conv2d(y, kernel.view(n, 1, -1, 1), padding=(reach, 0), groups=n)
    return F.conv2d(y, kernel.view(n, 1, 1, -1), padding=(0, reach), groups=n).view(n, -1)


def hard_negatives(x: Tensor, labels: Tensor, count: int) -> Tensor:
    """Images (count, P) of none of the classes, for classifiers of different kinds to learn from:
    of images x (N, P) and labels (N,) half are blends of two labels, an eighth each parts of
    strokes, blobs, textures (half of them behind a part of a stroke), and flat greys and noise."""
    eighth = count // 8
    rows = torch.randint(len(x), (4 * count,), device=x.device)
    weight = 0.35 + 0.3 * torch.rand(len(rows), 1, device=x.device)
    mixed = blends(x[rows], labels[rows], weight)[: count - 4 * eighth]
    flat = torch.rand(eighth, 1, device=x.device).expand(-1, x.shape[1]).clone()
    noisy = torch.arange(eighth, device=x.device) % 2 == 0
    flat[noisy] = torch.rand_like(flat[noisy])
    flat[: eighth // 6] = 0
    patterns = textures(eighth, side_of(x), x.device)
    before = strokes(x[rows[eighth : eighth + eighth // 2]])
    patterns[: len(before)] = torch.maximum(patterns[: len(before)], before)
    hard = [strokes(x[rows[:eighth]]), blobs(eighth, side_of(x), x.device), patterns]
    return torch.cat([mixed, *hard, flat])


def textures(count: int, side: int, device: torch.device | None = None) -> Tensor:
    """Random patterns (count, side * side) of patches, waves and grain: noise of four sizes in
    random shares, made as light and as hard as chance will have it."""
    share = torch.softmax(4 * torch.rand(4, count, 1, device=device), 0)
    field = torch.zeros(count, side * side, device=device)
    for part, size in zip(share, (4, side // 4, side // 2, side), strict=True):
        noise = torch.randn(count, 1, size, size, device=device)
        field += part * F.interpolate(noise, size=(side, side), mode="bicubic").flatten(1)
    field = field / field.std(1, keepdim=True)
    above, gain = torch.rand(2, count, 1, device=device)
    return torch.sigmoid((0.7 + 5 * gain.square()) * (field - 2.5 * above + 1))


def blobs(count: int, side: int, device: torch.device | None = None) -> Tensor:
    """Solid ellipses (count, side * side) of all sizes from two pixels, turns and brightnesses."""
    u = torch.rand(7, count, 1, 1, device=device)
    at = torch.linspace(-1, 1, side, device=device)
    down, across = at[:, None] - (u[0] - 0.5), at[None, :] - (u[1] - 0.5)
    turn = torch.pi * u[2]
    first = (across * turn.cos() + down * turn.sin()) / (0.15 + 0.6 * u[3])
    second = (down * turn.cos() - across * turn.sin()) / (0.15 + 0.6 * u[4])
    inside = 1 - (first.square() + second.square()).sqrt()
    images: Tensor = (0.4 + 0.6 * u[5]) * torch.sigmoid(inside * (4 + 26 * u[6]))
    return images.flatten(1)


def strokes(x: Tensor) -> Tensor:
    """What is left of images (N, P) in a disc that holds about a quarter of their picture."""
    n, side = len(x), side_of(x)
    at = torch.linspace(-1, 1, side, device=x.device)
    middle = 0.9 * torch.rand(2, n, 1, 1, device=x.device) - 0.45
    distance = ((at[:, None] - middle[0]).square() + (at[None, :] - middle[1]).square()).sqrt()
    return x * torch.sigmoid(20 * (0.32 - distance)).flatten(1)


def varied(x: Tensor, haze: float, grain: float) -> Tensor:
    """Images (N, P) as hands and decoders may draw them: each, with even odds, is deformed, has
    thicker strokes, is blurred, and has `haze` and `grain` of up to that strength."""
    for change in (deform, thicken, lambda y: _blur(y, 1.0), lambda y: corrupt(y, haze, grain)):
        chosen = torch.rand(len(x), 1, device=x.device) < 0.5
        x = torch.where(chosen, change(x), x)
    return x


def deform(x: Tensor, most: float = 2.5) -> Tensor:
    """Images (N, P), bent and moved smoothly by up to about so many pixels (after Simard et al.,
    ICDAR 2003)."""
    n, side = len(x), side_of(x)
    coarse = (2 * torch.rand(n, 2, 4, 4, device=x.device) - 1) * (2 * most / side)
    field = F.interpolate(coarse, size=(side, side), mode="bicubic").permute(0, 2, 3, 1)
    at = (torch.arange(side, device=x.device) + 0.5) * (2 / side) - 1
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1) + field
    return F.grid_sample(x.view(n, 1, side, side), grid, align_corners=False).view(n, -1)


def thicken(x: Tensor, most: float = 0.6) -> Tensor:
    """Images (N, P) whose strokes are wider by up to a pixel on each side, the share `most` of it
    at the most."""
    side = side_of(x)
    wide = F.max_pool2d(x.view(-1, 1, side, side), 3, 1, 1).flatten(1)
    return x + most * torch.rand(len(x), 1, device=x.device) * (wide - x)


def smooth(x: Tensor) -> Tensor:
    """Images (N, P), blurred by a pixel, so that they have slopes that grain does not hide."""
    side = side_of(x)
    image = F.pad(x.view(-1, side, side), (1, 1, 1, 1))
    for dim in (1, 2):
        middle = image.narrow(dim, 1, side)
        image = middle / 2 + (image.narrow(dim, 0, side) + image.narrow(dim, 2, side)) / 4
    return image.flatten(1)
