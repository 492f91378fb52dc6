"""Image grids and animations, and how a figure becomes a file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..models.classifiers import side_of
from .style import WIDTH, axes, color_of, mark_forgotten, named, styled


def tile(images: Tensor, gap: int = 2) -> NDArray[np.float32]:
    """Images (R, N, P) as one array in [0, 1]: R rows of N squares with white gaps."""
    (r, n, _), side = images.shape, side_of(images)
    values = images.float().cpu() / (255 if images.dtype == torch.uint8 else 1)
    framed = torch.nn.functional.pad(values.view(r, n, side, side), (0, gap, 0, gap), value=1.0)
    board = framed.permute(0, 2, 1, 3).reshape(r * (side + gap), -1)
    tiled: NDArray[np.float32] = board[: len(board) - gap, : board.shape[1] - gap].numpy()
    return tiled


def show_tiles(ax: Axes, images: Tensor, **how: Any) -> None:
    """Draw images (R, N, P) as a grid that fills an axis without ticks and frame; `how` is
    `imshow`'s."""
    ax.imshow(tile(images), cmap="gray", vmin=0, vmax=1, **how)
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


@styled
def grids(
    panels: Mapping[str, Tensor],
    rows: Sequence[str] | None = None,
    *,
    forgotten: Iterable[int] = (),
    title: str = "",
    height: float | None = None,
) -> Figure:
    """Image grids side by side, one panel a model (or anything else), row labels on the left.

    Args:
        panels: title -> images (R, N, P).
        rows: R labels; without them the rows are labels 0, 1, 2, ...
        forgotten: rows whose label is set apart.
        height: in inches; by default what the images need.
    """
    first = next(iter(panels.values()))
    rows = [str(i) for i in range(len(first))] if rows is None else list(rows)
    forgotten = set(forgotten)
    if height is None:
        across = sum(images.shape[1] for images in panels.values())
        height = min(max(9.0, 0.3 * len(first)), 0.45 + 0.93 * WIDTH * len(first) / across)
    ratios = [images.shape[1] for images in panels.values()]
    figure, panes = axes(1, len(panels), height, width_ratios=ratios)
    pitch = side_of(first) + 2
    for i, (ax, (name, images)) in enumerate(zip(panes[0], panels.items(), strict=True)):
        ax.set_anchor("N")
        show_tiles(ax, images, interpolation="nearest")
        ax.set_yticks([pitch * (k + 0.5) - 1 for k in range(len(rows))], rows if i == 0 else [])
        mark_forgotten(ax.get_yticklabels(), forgotten)
        ax.set_title(name, color=color_of(name))
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


@styled
def before_after(
    images: Mapping[str, Tensor],
    forgotten: Iterable[int],
    names: Sequence[str] | None = None,
) -> Figure:
    """Samples of every label (classes, N, P), one panel a model, all from the same codes.

    Args:
        names: of the classes.
    """
    forgotten = list(forgotten)
    rows = [
        f"{name} forgotten" if label in forgotten else name
        for label, name in enumerate(named(range(len(next(iter(images.values())))), names))
    ]
    return grids(images, rows, forgotten=forgotten)


@dataclass(frozen=True)
class Gif:
    """An animation, encoded."""

    content: bytes


WIDEST = 1200  # pixels of an animation
GREYS = 64  # fewer draw false contours where traces are looked for


@styled
def gif(
    frames: Tensor,
    captions: Sequence[str],
    *,
    heads: Sequence[str] | None = None,
    codes: int = 3,
    scale: float = 3.0,
) -> Gif:
    """An animation with a label (or anything else) in each column and a caption above.

    Args:
        frames: (T, classes, K, P) uint8; the first `codes` of each label are drawn.
        captions: T texts.
        heads: what stands above the columns, instead of 0, 1, 2, ...
        scale: pixels of the animation for one of an image; fewer where it would be very wide.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(22), ImageFont.load_default(18)
    pictures = []
    for images, caption in zip(frames[:, :, :codes], captions, strict=True):
        board = (tile(images.transpose(0, 1)) * 255).astype(np.uint8)
        scale = min(scale, WIDEST / board.shape[1])
        picture = Image.fromarray(board).resize(
            (int(board.shape[1] * scale), int(board.shape[0] * scale)), Image.Resampling.BILINEAR
        )
        page = Image.new("L", (picture.width + 12, picture.height + 78), 255)
        page.paste(picture, (6, 72))
        draw = ImageDraw.Draw(page)
        draw.text((6, 6), caption, fill=20, font=font)
        pitch = picture.width / len(images)
        for k in range(len(images)):
            head = str(k) if heads is None else heads[k]
            draw.text((6 + pitch * (k + 0.5), 44), head, fill=20, font=small, anchor="ma")
        pictures.append(page.quantize(GREYS, dither=Image.Dither.NONE))
    durations = [160] * len(pictures)  # milliseconds; the first and the last stand longer
    durations[0] *= 4
    durations[-1] *= 12
    out = io.BytesIO()
    pictures[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        optimize=True,
    )
    return Gif(out.getvalue())


def png(image: Tensor) -> bytes:
    """One image (P,) in [0, 1] as a PNG file."""
    from PIL import Image

    side = side_of(image)
    values = (image.cpu().view(side, side) * 255).round().byte().numpy()
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


@styled
def render(figure: Figure | Gif, alt: str = "") -> tuple[str, bytes, Any]:
    """A figure as (file suffix, file content, what a notebook displays); `alt` says in words what
    it shows, for those who do not see it.

    Raises:
        TypeError: it is no figure.
    """
    from IPython.display import HTML
    from IPython.display import Image as Shown

    if isinstance(figure, Gif):  # not every front end displays image/gif, all display HTML
        encoded = base64.b64encode(figure.content).decode()
        return (
            ".gif",
            figure.content,
            HTML(f'<img alt="{html.escape(alt)}" src="data:image/gif;base64,{encoded}">'),
        )
    if not isinstance(figure, Figure):
        raise TypeError(f"{figure!r} is no figure: use what the functions of figures return")
    content, width = _png_of(figure), round(100 * WIDTH)
    shown = Shown(data=content, format="png", width=width, metadata={"alt": alt} if alt else None)
    return ".png", content, shown


def _png_of(figure: Figure) -> bytes:
    """A figure as a small PNG file, with what is empty above and below cut off."""
    from PIL import Image, ImageChops

    out = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # savefig draws twice
    page = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn = ImageChops.invert(page).getbbox()
    if drawn is not None:
        page = page.crop((0, max(0, drawn[1] - 6), page.width, min(page.height, drawn[3] + 6)))
    # Maximum coverage keeps the colours of a few letters among thousands of grey pixels.
    coloured = page.quantize(128, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    coloured.save(out, "PNG", optimize=True)
    return out.getvalue()
