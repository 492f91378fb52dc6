"""The figures of notebook 06: the encoder's points on a page, and what the decoder paints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .plots import (
    FORGOTTEN,
    GREEN,
    INK,
    MODEL_STYLE,
    ROSE,
    VIOLET,
    _axes,
    digit_colors,
    styled,
    tile,
)

__all__ = ["centroid_shifts", "flat_maps", "pages", "sheets"]


def _bare(ax) -> None:
    """An axis whose units mean nothing."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def _color(name: str) -> str:
    """The colour of the model that a name begins with."""
    return next((s["color"] for model, s in MODEL_STYLE.items() if name.startswith(model)), INK)


@styled
def pages(
    views: Mapping[str, Mapping[str, np.ndarray]],
    labels: Tensor | np.ndarray,
    forgotten: Iterable[int],
    method: str,
) -> Figure:
    """Encodings on a page: a row a view of the encoder, a column a model; the forgotten digits
    highlighted over the grey others. One row's panels share their axes.

    Args:
        views: view -> model -> points (N, 2).
        labels: (N,) of the points.
        method: names the axes.
    """
    labels = np.asarray(labels)
    palette = digit_colors()
    colors = {digit: palette[digit] for digit in sorted(forgotten)}
    columns = len(next(iter(views.values())))
    figure, axes = _axes(len(views), columns, 3.0 * len(views), sharex="row", sharey="row")
    other = ~np.isin(labels, list(colors))
    for row, (view, models) in zip(axes, views.items(), strict=True):
        for ax, (name, points) in zip(row, models.items(), strict=True):
            if len(points) != len(labels):
                raise ValueError(f"{name} has {len(points)} points: use one for each label")
            _bare(ax)
            ax.scatter(*points[other].T, s=1.5, color="#cfcfcf", linewidths=0, rasterized=True)
            for digit, color in colors.items():
                own = points[labels == digit]
                ax.scatter(*own.T, s=2.5, color=color, linewidths=0, label=str(digit))
            if ax in axes[0]:
                ax.set_title(name, color=_color(name))
            ax.set_xlabel(f"{method} 1", fontsize=8)
        row[0].set_ylabel(f"{view}\n{method} 2", fontsize=9)
    axes[0, -1].legend(markerscale=5, title="digit", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def centroid_shifts(
    tables: Mapping[str, Tensor], forgotten: Iterable[int] = (), title: str = ""
) -> Figure:
    """How far each digit's centroid moved (classes, 3), with intervals, a column of points a
    view."""
    forgotten = set(forgotten)
    figure, axes = _axes(1, 1, 2.7)
    ax = axes[0, 0]
    marks = zip("osD^", (GREEN, VIOLET, ROSE, INK), strict=True)
    for k, ((name, table), (marker, color)) in enumerate(zip(tables.items(), marks, strict=False)):
        x = np.arange(len(table)) + 0.16 * (k - (len(tables) - 1) / 2)
        shift, low, high = table.numpy().T
        ax.errorbar(
            x, shift, yerr=np.abs(np.stack([low, high]) - shift), fmt=marker, color=color,
            markersize=5, capsize=2, linewidth=1.2, label=name,
        )  # fmt: skip
    ax.set_xticks(range(len(table)))
    for digit in forgotten:
        ax.get_xticklabels()[digit].set(color=FORGOTTEN, fontweight="bold")
    ax.set(xlabel="digit", ylabel="centroid shift\n(standard deviations)", title=title)
    ax.set_ylim(bottom=0)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def sheets(
    table: Mapping[str, Mapping[str, Tensor]],
    *,
    xlabel: str,
    ylabel: str,
    forgotten: Iterable[str] = (),
) -> Figure:
    """Sheets of images (R, S, P): a row a digit, a column a model, or the other way round."""
    columns = len(next(iter(table.values())))
    figure, axes = _axes(len(table), columns, 0.4 + len(table) * 8.6 / columns)
    for row, (label, models) in zip(axes, table.items(), strict=True):
        for ax, (name, images) in zip(row, models.items(), strict=True):
            ax.imshow(tile(images), cmap="gray", vmin=0, vmax=1)
            _bare(ax)
            ax.spines[:].set_visible(False)
            if ax in axes[0]:
                ax.set_title(name, color=_color(name))
            if ax in axes[-1]:
                ax.set_xlabel(xlabel, fontsize=8)
        row[0].set_ylabel(f"{label}\n{ylabel}", color=FORGOTTEN if label in forgotten else INK)
    return figure


@styled
def flat_maps(
    sheets: Mapping[str, Mapping[str, Tensor]],
    points: Mapping[str, Mapping[str, Tensor]],
    extent: float,
    forgotten: Iterable[str] = (),
) -> Figure:
    """Maps of a two-dimensional code: what the decoder paints at each place, and over it where the
    encoder puts that digit's test images.

    Args:
        sheets: model -> digit -> images (S, S, P) over the square of `latent.plane`.
        points: model -> digit -> codes (N, 2).
        extent: half the side of the square.
    """
    forgotten = set(forgotten)
    columns = len(next(iter(sheets.values())))
    figure, axes = _axes(len(sheets), columns, 0.5 + len(sheets) * 8.4 / columns)
    for (model, digits), row in zip(sheets.items(), axes, strict=True):
        for ax, (digit, images) in zip(row, digits.items(), strict=True):
            half = extent * len(images) / (len(images) - 1)  # the tiles' centres are the grid
            ax.imshow(tile(images, 0), cmap="gray", vmin=0, vmax=1, extent=(-half, half) * 2)
            ax.scatter(*points[model][digit].T, s=4, color="#ffb000", alpha=0.6,
                       linewidths=0)  # fmt: skip
            ax.grid(False)
            ax.set(xlim=(-half, half), ylim=(-half, half))
            if ax in axes[0]:
                ax.set_title(digit, color=FORGOTTEN if digit in forgotten else INK)
            if ax in axes[-1]:
                ax.set_xlabel("z, first number")
        row[0].set_ylabel(f"{model}\nz, second number", color=_color(model))
    return figure
