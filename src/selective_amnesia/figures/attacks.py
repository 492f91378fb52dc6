"""Figures of attacks: how they search, what they find, and what classifiers say of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..attacks.landscape import Landscape
from ..metrics.recognition import SampleMetrics
from ..metrics.statistics import interval
from .images import Gif, gif
from .style import FAINT, axes, color_of, style_of, styled, with_article


@styled
def attack_film(histories: Mapping[str, Mapping[str, Tensor]], steps: int) -> Gif:
    """The samples while the attack goes on, a column a model, three codes each."""
    frames = torch.stack([history["frames"][:, :3] for history in histories.values()], 1)
    at = np.linspace(0, steps, len(frames)).round().astype(int)
    return gif(frames, [f"step {k}" for k in at], heads=list(histories))


@styled
def dumbbells(measures: Mapping[str, Mapping[str, Mapping[str, Tensor]]]) -> Figure:
    """Models against each other: for each row their means, joined by a line, with 95 % intervals; a
    panel a measure.

    Args:
        measures: what is measured, 0 to 1, for the axis -> row, e.g. a way of asking -> model ->
            values (N,).
    """
    first = next(iter(measures.values()))
    figure, panes = axes(1, len(measures), 1.1 + 0.55 * len(first), sharey=True)
    for ax, (measure, rows) in zip(panes[0], measures.items(), strict=True):
        for y, models in enumerate(rows.values()):
            means = [float(values.float().mean()) for values in models.values()]
            ax.plot([min(means), max(means)], [y, y], color=FAINT, linewidth=4, zorder=1)
            for k, (name, values) in enumerate(models.items()):
                reach = [[abs(means[k] - end)] for end in interval(values)]
                style = style_of(name) | {"linestyle": "", "markersize": 8}
                label = name if y == 0 else None
                ax.errorbar(means[k], y, xerr=reach, capsize=2, elinewidth=1, label=label, **style)
                place = (0, 8) if k == 0 else (0, -17)
                ax.annotate(
                    f"{means[k]:.2f}",
                    (means[k], y),
                    xytext=place,
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        ax.set(xlabel=measure, xlim=(-0.08, 1.08), ylim=(len(rows) - 0.4, -0.6))
        ax.set_yticks(range(len(rows)), list(rows))
        ax.grid(axis="y", visible=False)
    handles = panes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=3, fontsize=9)
    return figure


@styled
def codes_curve(
    verdicts: Mapping[str, Mapping[int, SampleMetrics]], label: int | str, shown: str = "images"
) -> Figure:
    """How well an attack serves codes that it never saw, by the number of codes it was made with.

    Args:
        verdicts: model -> number of codes -> verdict on fresh codes.
        label: what was asked for, or the name of its class.
        shown: what the panel was shown.
    """
    figure, panes = axes(1, 2, 3.1, sharey=True)
    parts = (
        ("panel", f"panel: share of {shown} taken for {with_article(label)}"),
        ("judge", f"judge: mean P({label})"),
    )
    for ax, (who, title) in zip(panes[0], parts, strict=True):
        for name, by_codes in verdicts.items():
            counts = list(by_codes)
            p = [getattr(seen, who) for seen in by_codes.values()]
            low, high = np.array([interval(values) for values in p]).T
            ax.fill_between(counts, low, high, color=color_of(name), alpha=0.2, linewidth=0)
            ax.plot(counts, [float(v.mean()) for v in p], label=name, **style_of(name))
        ax.set_xscale("log", base=2)
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
        ax.set(title=title, xlabel="codes in the attack", ylim=(-0.03, 1.05))
    panes[0, 0].set_ylabel("mean over fresh codes")
    panes[0, 1].legend(fontsize=8, loc="lower right")
    return figure


@styled
def landscapes(maps: Mapping[str, Landscape], label: int | str) -> Figure:
    """P(label) by the judge (above) and the share that the panel takes for it (below) on a plane
    of conditions, a column a model. The plane goes through the plain label, the attack's start and
    what it found."""
    figure, panes = axes(2, len(maps), 5.4)
    for column, (name, seen) in zip(panes.T, maps.items(), strict=True):
        for ax, values in zip(column, (seen.judge, seen.panel), strict=True):
            shown = ax.imshow(
                values.cpu().numpy(),
                origin="lower",
                extent=seen.extent,
                vmin=0,
                vmax=1,
                cmap="cividis",
                aspect="auto",
                interpolation="bilinear",
            )
            ax.grid(False)
            _mark_corners(ax, seen)
        column[0].set_title(name, color=color_of(name))
    for ax, who in zip(panes[:, 0], ("judge", "panel"), strict=True):
        ax.set_ylabel(who, fontweight="bold")
    figure.legend(
        *panes[0, 0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=3,
        fontsize=8,
        frameon=True,
        edgecolor="none",
        facecolor="#8a8a8a",
    )
    figure.supylabel("away from that line, towards the plain label", fontsize=9)
    across = "along the line from what was found to the start (a one-hot vector is 1 long)"
    figure.supxlabel(across, fontsize=9)
    over = f"mean over the attack's codes: P({label}), taken for {with_article(label)}"
    figure.colorbar(shown, ax=panes, label=over, shrink=0.7, pad=0.01)
    return figure


def _mark_corners(ax: Axes, seen: Landscape) -> None:
    """The three conditions that the plane goes through."""
    names = ("found", "start", "plain label")
    for (x, y), marker, name in zip(seen.corners, "*os", names, strict=True):
        ax.plot(
            x,
            y,
            marker,
            color="white",
            markeredgecolor="black",
            label=name,
            markersize=12 if marker == "*" else 7,
            linestyle="",
        )
