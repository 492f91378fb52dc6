"""Figures of paths through the condition and the code: films along them, and how far they lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .images import Gif, gif, show_tiles
from .style import (
    DPI,
    FAINT,
    FORGOTTEN,
    INK,
    MANY,
    WIDTH,
    axes,
    color_of,
    first_of_row,
    mark_forgotten,
    name_ticks,
    named,
    squares,
    style_of,
    styled,
)

LEFT, RIGHT = 0.085, 0.985  # of the page's width: the names of the rows end, the films end
HEAD, GAP, FOOT = 0.34, 0.09, 0.72  # inches above and between the films, below the curves


@styled
def film_strips(
    films: Mapping[str, Tensor],
    verdicts: Mapping[str, Tensor],
    labels: Sequence[int],
    *,
    rows: int = 3,
    forgotten: Iterable[int] = (),
    names: Sequence[str] | None = None,
    xlabel: str = "way from the first label (0) to the second (1)",
) -> Figure:
    """Films of several models above one another and, below, a classifier's verdicts step by step.

    Args:
        films: model -> images (T, N, P), N films of T steps; the first `rows` are drawn.
        verdicts: model -> a classifier's probabilities (T, N, classes + 1) along N paths; drawn are
            the mean and the middle half of the paths.
        labels: those that the path goes through, in its order; each leg is as long.
        names: of the classes.
    """
    steps, legs = len(next(iter(films.values()))), len(labels) - 1
    cell = WIDTH * (RIGHT - LEFT) / steps
    followed = list(dict.fromkeys(labels))
    heights = [cell * rows] * len(films) + [0.95] * (len(followed) + 1)
    figure, panes = _page(heights)
    for ax, (name, images) in zip(panes, films.items(), strict=False):
        _strip(ax, images[:, :rows].transpose(0, 1), name)
    _name_stations(panes[0], labels, named(labels, names), set(forgotten), steps, cell)
    curves = panes[len(films) :]
    columns = [*followed, next(iter(verdicts.values())).shape[-1] - 1]
    heads = [*(f"P({name})" for name in named(followed, names)), "P(none)"]
    ticks = np.linspace(0, steps - 1, 5 if legs == 1 else 2 * legs + 1)
    for ax, column, name in zip(curves, columns, heads, strict=True):
        _curves(ax, {model: p[..., column] for model, p in verdicts.items()})
        ax.set(xlim=(-0.5, steps - 0.5), ylim=(-0.06, 1.06), yticks=(0, 0.5, 1), ylabel=name)
        ax.set_xticks(ticks, [])
        ax.tick_params(axis="y", labelsize=8)
    curves[-1].set_xticks(ticks, [f"{t * legs / (steps - 1):g}" for t in ticks])
    curves[-1].set_xlabel(xlabel)
    curves[-1].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.45), ncols=3)
    figure.align_ylabels(curves)
    return figure


def _page(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure of axes above one another with those heights in inches."""
    total = sum(heights) + GAP * (len(heights) - 1) + HEAD + FOOT
    figure = Figure(figsize=(WIDTH, total), dpi=DPI)
    grid = figure.add_gridspec(
        len(heights),
        1,
        height_ratios=heights,
        left=LEFT,
        right=RIGHT,
        top=1 - HEAD / total,
        bottom=FOOT / total,
        hspace=GAP * len(heights) / sum(heights),
    )
    return figure, [figure.add_subplot(grid[k]) for k in range(len(heights))]


def _strip(ax: Axes, images: Tensor, name: str) -> None:
    """Images (K, T, P) as a strip that fills x from -0.5 to T - 0.5: one column a step."""
    rows, steps, _ = images.shape
    extent = (-0.5, steps - 0.5, rows, 0)
    show_tiles(ax, images, aspect="auto", interpolation="antialiased", extent=extent)
    ax.set_yticks([rows / 2], [name])
    ax.get_yticklabels()[0].set(color=color_of(name), fontweight="bold", fontsize=9)


def _name_stations(
    ax: Axes,
    labels: Sequence[int],
    names: Sequence[str],
    forgotten: set[int],
    steps: int,
    cell: float,
) -> None:
    """The labels, by their names, that a path goes through, above the film's images that show them.

    Args:
        cell: the width of an image in inches.
    """
    legs = len(labels) - 1
    for k, (label, name) in enumerate(zip(labels, names, strict=True)):
        outwards = -cell * 36 if k == 0 else cell * 36 if k == legs else 0  # half a cell, in points
        lost = label in forgotten
        ax.annotate(
            f"label {name}" + (" (forgotten)" if lost else ""),
            (k * (steps - 1) / legs, 1.0),
            xycoords=("data", "axes fraction"),
            va="bottom",
            ha="left" if k == 0 else "right" if k == legs else "center",
            fontsize=9,
            xytext=(outwards, 2),
            textcoords="offset points",
            color=FORGOTTEN if lost else INK,
        )


def _curves(ax: Axes, verdicts: Mapping[str, Tensor]) -> None:
    """Probabilities (T, N) of several models over the steps: the mean and the middle half."""
    for model, p in verdicts.items():
        x = np.arange(len(p))
        low, high = p.quantile(torch.tensor([0.25, 0.75]), dim=1)
        style = style_of(model) | {"markersize": 3}
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
        ax.plot(x, p.mean(1), label=model, **style)
    ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)


@styled
def radius_maps(
    maps: Mapping[str, Tensor],
    forgotten: Iterable[int] = (),
    names: Sequence[str] | None = None,
) -> Figure:
    """The radius of amnesia (classes, classes) from each label towards each other, a panel a
    model.

    Args:
        names: of the classes.
    """
    forgotten = set(forgotten)
    rows = named(range(len(next(iter(maps.values())))), names)
    figure, panes = squares(len(maps), len(rows), 3.6)
    size = 7.5 if len(rows) <= MANY else 5
    for ax, (name, table) in zip(panes, maps.items(), strict=True):
        shown = ax.imshow(table.numpy(), cmap="cividis", vmin=0, vmax=1)
        ax.grid(False)
        name_ticks(ax.xaxis, rows)
        name_ticks(ax.yaxis, rows if first_of_row(ax) else [""] * len(rows))
        for i, j in (~table.isnan()).nonzero().tolist():
            value = float(table[i, j])
            text = "1" if value > 0.995 else f"{value:.2f}".lstrip("0")
            color = "white" if value < 0.55 else INK
            ax.text(j, i, text, ha="center", va="center", fontsize=size, color=color)
        mark_forgotten(ax.get_xticklabels(), forgotten)
        mark_forgotten(ax.get_yticklabels(), forgotten)
        ax.set_title(name, color=color_of(name))
        ax.set_xlabel("towards label")
    panes[0].set_ylabel("from label")
    figure.colorbar(shown, ax=panes, label="radius (share of the way)", shrink=0.85, pad=0.01)
    return figure


@styled
def interpolation_grid(
    panels: Mapping[str, Tensor], down: tuple[int | str, int | str], across: str
) -> Figure:
    """Double interpolation, a panel a model: the label changes down and the code across.

    Args:
        panels: model -> images (R, S, P).
        down: the first row's label and the last one's, or the names of their classes.
        across: what changes across, in words.
    """
    rows, columns, _ = next(iter(panels.values())).shape
    figure, panes = axes(1, len(panels), 0.7 + 8.2 / len(panels) * rows / columns)
    for ax, (name, images) in zip(panes[0], panels.items(), strict=True):
        show_tiles(ax, images, extent=(0, columns, rows, 0))
        ends = [f"label {down[0]}", f"label {down[1]}"]
        ax.set_yticks([0.5, rows - 0.5], ends if ax is panes[0, 0] else [])
        ax.set_xlabel(across)
        ax.set_title(name, color=color_of(name))
    return figure


@styled
def morph(films: Mapping[str, Tensor], captions: Sequence[str], *, rows: int = 3) -> Gif:
    """Films (T, K, P) as an animation, a column a model, of the first `rows` codes.

    Args:
        captions: T texts.
    """
    frames = torch.stack([(film[:, :rows] * 255).byte() for film in films.values()], 1)
    return gif(frames, captions, heads=list(films), codes=rows)
