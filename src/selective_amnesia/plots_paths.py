"""The figures of notebook 05: films along paths, and how far the paths lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .plots import DPI, FAINT, FORGOTTEN, INK, MODEL_STYLE, WIDTH, Gif, _axes, gif, styled, tile

__all__ = ["film_strips", "morph", "radius_maps", "weave"]

LEFT = 0.085  # of the page's width, for the names of the rows


def _strip(ax, images: Tensor, name: str) -> None:
    """Images (K, T, P) as a strip that fills x from -0.5 to T - 0.5: one column a step."""
    rows, steps, _ = images.shape
    ax.imshow(
        tile(images), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="antialiased",
        extent=(-0.5, steps - 0.5, rows, 0),
    )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([rows / 2], [name])
    ax.tick_params(length=0)
    ax.get_yticklabels()[0].set(
        color=MODEL_STYLE.get(name, {}).get("color", INK), fontweight="bold", fontsize=9
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)


@styled
def film_strips(
    films: Mapping[str, Tensor],
    verdicts: Mapping[str, Tensor],
    digits: Sequence[int],
    *,
    rows: int = 3,
    title: str = "",
    forgotten: Iterable[int] = (),
    xlabel: str = "way from the first digit (0) to the second (1)",
) -> Figure:
    """Films of several models above one another and, below, the referee's verdicts step by step.

    Args:
        films: model -> images (T, N, P), N films of T steps; the first `rows` are drawn.
        verdicts: model -> the referee's probabilities (T, N, classes + 1) along N paths; drawn are
            the mean and the middle half of the paths.
        digits: the digits that the path goes through, in its order; each leg is as long.
    """
    forgotten = set(forgotten)
    steps = len(next(iter(films.values())))
    cell = WIDTH * (0.985 - LEFT) / steps
    followed = list(dict.fromkeys(digits))
    heights = [cell * rows] * len(films) + [0.95] * (len(followed) + 1)
    room, gap, foot = 0.34 + 0.2 * bool(title), 0.09, 0.72
    total = sum(heights) + gap * (len(heights) - 1) + room + foot
    figure = Figure(figsize=(WIDTH, total), dpi=DPI)
    grid = figure.add_gridspec(
        len(heights), 1, height_ratios=heights, left=LEFT, right=0.985, top=1 - room / total,
        bottom=foot / total, hspace=gap * len(heights) / sum(heights),
    )  # fmt: skip
    axes = [figure.add_subplot(spot) for spot in grid]
    for ax, (name, images) in zip(axes, films.items(), strict=False):
        _strip(ax, images[:, :rows].transpose(0, 1), name)
    legs = len(digits) - 1
    for k, digit in enumerate(digits):
        axes[0].annotate(
            f"label {digit}" + (" (forgotten)" if digit in forgotten else ""),
            (k * (steps - 1) / legs, 1.0), xycoords=("data", "axes fraction"), va="bottom",
            ha="left" if k == 0 else "right" if k == legs else "center", fontsize=9,
            xytext=(-cell * 36 if k == 0 else cell * 36 if k == legs else 0, 2),
            textcoords="offset points", color=FORGOTTEN if digit in forgotten else INK,
        )  # fmt: skip
    curves = axes[len(films) :]
    columns = [*followed, next(iter(verdicts.values())).shape[-1] - 1]
    names = [*(f"P({digit})" for digit in followed), "P(no digit)"]
    x = np.arange(steps)
    ticks = np.linspace(0, steps - 1, 5 if legs == 1 else 2 * legs + 1)
    for ax, column, name in zip(curves, columns, names, strict=True):
        for model, p in verdicts.items():
            p = p[..., column]
            low, high = p.quantile(torch.tensor([0.25, 0.75]), dim=1)
            style = MODEL_STYLE[model] | {"markersize": 3}
            ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
            ax.plot(x, p.mean(1), label=model, **style)
        ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
        ax.set(xlim=(-0.5, steps - 0.5), ylim=(-0.06, 1.06), yticks=(0, 0.5, 1), ylabel=name)
        ax.set_xticks(ticks, [])
        ax.tick_params(axis="y", labelsize=8)
    curves[-1].set_xticks(ticks, [f"{t * legs / (steps - 1):g}" for t in ticks])
    curves[-1].set_xlabel(xlabel)
    curves[-1].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.45), ncols=3)
    if title:
        figure.suptitle(title, fontsize=11, y=1 - 0.06 / total, va="top")
    figure.align_ylabels(curves)
    return figure


@styled
def radius_maps(maps: Mapping[str, Tensor], forgotten: Iterable[int] = ()) -> Figure:
    """The radius of amnesia (classes, classes) from each digit towards each other, a panel a
    model."""
    forgotten = set(forgotten)
    figure, axes = _axes(1, len(maps), 3.6)
    for ax, (name, table) in zip(axes[0], maps.items(), strict=True):
        n = len(table)
        shown = ax.imshow(table, cmap="cividis", vmin=0, vmax=1)
        ax.grid(False)
        ax.set_xticks(range(n))
        ax.set_yticks(range(n), range(n) if ax is axes[0, 0] else [""] * n)
        for i, j in (~table.isnan()).nonzero().tolist():
            value = float(table[i, j])
            text = "1" if value > 0.995 else f"{value:.2f}".lstrip("0")
            ax.text(j, i, text, ha="center", va="center", fontsize=6.5,
                    color="white" if value < 0.55 else INK)  # fmt: skip
        for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
            for digit in forgotten:
                ticks[digit].set(color=FORGOTTEN, fontweight="bold")
        ax.set_title(name, color=MODEL_STYLE.get(name, {}).get("color", INK))
        ax.set_xlabel("towards digit")
    axes[0, 0].set_ylabel("from digit")
    figure.colorbar(shown, ax=axes[0], label="radius (mean over codes)", shrink=0.85, pad=0.01)
    return figure


@styled
def weave(panels: Mapping[str, Tensor], down: tuple[int, int], across: str) -> Figure:
    """Double interpolation: images (R, S, P), the label changing down and the code across."""
    figure, axes = _axes(1, len(panels), 3.5)
    for ax, (name, images) in zip(axes[0], panels.items(), strict=True):
        rows, columns, _ = images.shape
        ax.imshow(tile(images), cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0))
        ax.grid(False)
        ax.set_xticks([])
        ends = [f"label {down[0]}", f"label {down[1]}"]
        ax.set_yticks([0.5, rows - 0.5], ends if ax is axes[0, 0] else [])
        ax.set_xlabel(across)
        ax.set_title(name, color=MODEL_STYLE.get(name, {}).get("color", INK))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return figure


@styled
def morph(films: Mapping[str, Tensor], captions: Sequence[str], *, rows: int = 3) -> Gif:
    """Films (T, K, P) as an animation, a column a model, of the first `rows` codes.

    Args:
        captions: T texts.
    """
    frames = torch.stack([(film[:, :rows] * 255).byte() for film in films.values()], 1)
    return gif(frames, captions, heads=list(films), codes=rows, scale=2)
