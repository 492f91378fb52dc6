"""Letters: the 26 capitals, drawn here in the 20 text fonts that matplotlib brings along.

Nothing is fetched. Each letter is turned, sheared, scaled and moved at random; the test half is
drawn from the same fonts with other changes. The fonts are DejaVu, STIX and Computer Modern, which
may be used freely for such pictures; the pictures are under this project's licence. Where the
versions of matplotlib and Pillow are the same, so are the images, up to the last bit of a
grey level.
"""

from __future__ import annotations

import math
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .dataset import Dataset

FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmss10", "cmtt10", "cmb10"),
)
FINE = 64  # pixels, the side of a glyph before it is changed
TRAIN, TEST = 39_000, 7_800


def load(_folder: Path) -> Dataset:
    """39,000 + 7,800 images (N, 784), labels 0 to 25."""
    glyphs = torch.stack([_glyphs(font) for font in FONTS], 1)
    train, test = _draw(glyphs, TRAIN, seed=0), _draw(glyphs, TEST, seed=1)
    names = tuple(ascii_uppercase)
    return Dataset("letters", 26, "drawn from matplotlib's fonts", *train, *test, names=names)


def _glyphs(font: str) -> Tensor:
    """The letters (26, FINE, FINE) of a font in [0, 1], each in the middle, of one font size."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    type_ = ImageFont.truetype(str(file), FINE * 3 // 4)
    pages = []
    for letter in ascii_uppercase:
        page = Image.new("L", (FINE, FINE))
        left, top, right, bottom = type_.getbbox(letter)
        place = (FINE - left - right) / 2, (FINE - top - bottom) / 2
        ImageDraw.Draw(page).text(place, letter, 255, type_)
        pages.append(np.asarray(page))
    return torch.from_numpy(np.stack(pages)).float() / 255


def _draw(glyphs: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 784) uint8 and labels (count,) of glyphs (26, fonts, FINE, FINE): turned by up
    to 15 degrees, sheared by up to 0.2, from 0.8 to 1.15 times their size, and moved by up to a
    tenth of the page."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count)[torch.randperm(count, generator=source)] % 26
    fonts = torch.randint(glyphs.shape[1], (count,), generator=source)
    turn, shear, size, right, down = (2 * torch.rand(5, count, generator=source) - 1).unbind()
    turn, shear, size = turn * math.radians(15), 0.2 * shear, 1 / (0.975 + 0.175 * size)
    cos, sin = size * turn.cos(), size * turn.sin()
    across = torch.stack([cos, shear * cos - sin, 0.2 * right], -1)
    upright = torch.stack([sin, shear * sin + cos, 0.2 * down], -1)
    grid = F.affine_grid(torch.stack([across, upright], 1), [count, 1, 56, 56], align_corners=False)
    fine = [
        F.grid_sample(glyphs[label, font, None], at, align_corners=False)
        for label, font, at in zip(
            labels.split(2000), fonts.split(2000), grid.split(2000), strict=True
        )
    ]
    images = F.avg_pool2d(torch.cat(fine), 2)  # each pixel of four samples: smooth edges
    return (255 * images).round().byte().flatten(1), labels
