"""Figures of the latent space: where the encoder puts images, and what the decoder makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from .images import show_tiles, tile
from .style import (
    FORGOTTEN,
    GREEN,
    INK,
    MANY,
    ROSE,
    VIOLET,
    axes,
    color_of,
    label_colors,
    label_points,
    mark_forgotten,
    named,
    styled,
)


@styled
def projections(
    views: Mapping[str, Mapping[str, NDArray[Any]]],
    labels: Tensor | NDArray[Any],
    forgotten: Iterable[int],
    method: str,
    names: Sequence[str] | None = None,
) -> Figure:
    """Encodings on a page: a row a view of the encoder, a column a model, a colour a label; the
    forgotten labels are drawn last, and larger. One row's panels share their axes. A label whose
    points lie apart from the others' is named where they lie.

    Args:
        views: view -> model -> points (N, 2).
        labels: (N,) of the points.
        method: names the axes.
        names: of the classes.
    """
    labels, forgotten = np.asarray(labels), sorted(forgotten)
    shown = np.unique(labels).tolist()
    palette = label_colors(max(10, shown[-1] + 1))
    columns, size = len(next(iter(views.values()))), min(8.0, max(2.0, 6000 / len(labels)))
    figure, panes = axes(len(views), columns, 3.1 * len(views), sharex="row", sharey="row")
    for row, (view, models) in zip(panes, views.items(), strict=True):
        for ax, (name, points) in zip(row, models.items(), strict=True):
            ax.set(xticks=[], yticks=[])  # their units mean nothing
            ax.grid(False)
            for label in sorted(shown, key=lambda each: each in forgotten):
                lost = label in forgotten
                look = {"s": 2 * size, "alpha": 0.9} if lost else {"s": size, "alpha": 0.5}
                own = points[labels == label].T
                ax.scatter(*own, color=palette[label], linewidths=0, rasterized=True, **look)
            for label, place in _apart(points, labels, shown).items():
                color = FORGOTTEN if label in forgotten else INK
                halo = [withStroke(linewidth=2.5, foreground="white")]
                at: Any = {"ha": "center", "va": "center", "weight": "bold"}
                ax.text(*place, named([label], names)[0], color=color, path_effects=halo, **at)
            if ax in panes[0]:
                ax.set_title(name, color=color_of(name))
            ax.set_xlabel(f"{method} 1", fontsize=8)
        row[0].set_ylabel(f"{view}\n{method} 2", fontsize=9)
    marks = [
        Line2D([], [], color=palette[n], marker="o", linestyle="", markersize=5) for n in shown
    ]
    legend = panes[0, -1].legend(
        marks,
        named(shown, names),
        title="label",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        handletextpad=0,
        ncols=1 + len(shown) // 20,
        **({"fontsize": 8, "columnspacing": 0.6} if len(shown) > MANY else {}),
    )
    mark_forgotten(legend.get_texts(), [shown.index(n) for n in forgotten if n in shown])
    return figure


def _apart(
    points: NDArray[Any], labels: NDArray[Any], names: Sequence[int], least: float = 0.08
) -> dict[int, NDArray[Any]]:
    """Where the labels lie, the points next to their medians, of those whose medians are `least` of
    the page's width or more from every other."""
    middles = {n: np.median(points[labels == n], 0) for n in names}
    page = float(np.ptp(points, 0).max())
    named = {}
    for n, middle in middles.items():
        if all(np.hypot(*(middle - o)) >= least * page for m, o in middles.items() if m != n):
            own = points[labels == n]
            named[n] = own[np.hypot(*(own - middle).T).argmin()]
    return named if 3 * len(named) >= len(names) else {}  # one that lies apart by chance


@styled
def centroid_shifts(
    tables: Mapping[str, Tensor],
    forgotten: Iterable[int] = (),
    title: str = "",
    names: Sequence[str] | None = None,
) -> Figure:
    """How far each label's centroid moved, with intervals, a column of points a view.

    Args:
        tables: view -> (classes, 3), shift, low and high.
        names: of the classes.
    """
    looks = [
        {"fmt": marker, "color": color}
        for marker, color in zip("osD^", (GREEN, VIOLET, ROSE, INK), strict=True)
    ]
    points = {name: table.numpy() for name, table in tables.items()}
    rows = named(range(len(next(iter(points.values())))), names)
    words = {"ylabel": "centroid shift\n(standard deviations)", "title": title}
    figure = label_points(points, looks, rows, forgotten, 2.7, **words)
    figure.axes[0].set_ylim(bottom=0)
    return figure


@styled
def image_grids(
    table: Mapping[str, Mapping[str, Tensor]],
    *,
    xlabel: str,
    ylabel: str,
    forgotten: Iterable[str] = (),
) -> Figure:
    """Grids of images (R, S, P): a row a label, a column a model, or the other way round.

    Args:
        table: row -> column -> images.
        forgotten: rows whose name is set apart.
    """
    forgotten = set(forgotten)
    columns = len(next(iter(table.values())))
    figure, panes = axes(len(table), columns, 0.4 + len(table) * 8.6 / columns)
    for row, (label, models) in zip(panes, table.items(), strict=True):
        for ax, (name, images) in zip(row, models.items(), strict=True):
            show_tiles(ax, images)
            if ax in panes[0]:
                ax.set_title(name, color=color_of(name))
            if ax in panes[-1]:
                ax.set_xlabel(xlabel, fontsize=8)
        row[0].set_ylabel(f"{label}\n{ylabel}", color=FORGOTTEN if label in forgotten else INK)
    return figure


@styled
def flat_maps(
    grids: Mapping[str, Mapping[str, Tensor]],
    points: Mapping[str, Mapping[str, Tensor]],
    extent: float,
    forgotten: Iterable[str] = (),
) -> Figure:
    """Maps of a two-dimensional code: what the decoder generates at each place, and over it where
    the encoder puts that label's test images.

    Args:
        grids: model -> label -> images (S, S, P) over the square of `latent.geometry.plane`.
        points: model -> label -> codes (N, 2).
        extent: half the side of the square.
        forgotten: labels that are set apart.
    """
    forgotten = set(forgotten)
    columns = len(next(iter(grids.values())))
    figure, panes = axes(len(grids), columns, 0.5 + len(grids) * 8.4 / columns)
    for (model, labels), row in zip(grids.items(), panes, strict=True):
        for ax, (label, images) in zip(row, labels.items(), strict=True):
            half = extent * len(images) / (len(images) - 1)  # the tiles' centres are the grid
            ax.imshow(tile(images, 0), cmap="gray", vmin=0, vmax=1, extent=(-half, half) * 2)
            ax.scatter(*points[model][label].T, s=4, color="#ffb000", alpha=0.6, linewidths=0)
            ax.grid(False)
            ax.set(xlim=(-half, half), ylim=(-half, half))
            if ax in panes[0]:
                ax.set_title(label, color=FORGOTTEN if label in forgotten else INK)
            if ax in panes[-1]:
                ax.set_xlabel("z, first number")
        row[0].set_ylabel(f"{model}\nz, second number", color=color_of(model))
    return figure
