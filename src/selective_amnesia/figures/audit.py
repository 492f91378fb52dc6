"""Figures of the audit: nats, relearning, ROC curves, AUCs, and tables of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..forgetting import title
from ..metrics.distinguish import MARGIN
from .methods import kind_style
from .style import FAINT, INK, MANY, axes, color_of, style_of, styled, with_article


@styled
def true_nats(
    nats: Mapping[str, Tensor], erasures: Mapping[str, tuple[float, float, float]], label: int | str
) -> Figure:
    """Left, how many true nats each test image costs each model; right, where that puts each model
    between the original (0) and the control (1).

    Args:
        nats: model -> (N,).
        erasures: model -> erasure and its interval.
        label: what the images show, or the name of its class.
    """
    figure, panes = axes(1, 2, 3.0, width_ratios=(1.5, 1))
    left, right = panes[0]
    for k, (name, values) in enumerate(nats.items()):
        jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))
        left.plot(values, k + jitter, ".", color=color_of(name), markersize=3, alpha=0.5)
        left.plot([values.mean()] * 2, [k - 0.34, k + 0.34], color=INK, linewidth=2)
        left.text(float(values.mean()), k - 0.38, f"{values.mean():.1f}", ha="center", fontsize=9)
    left.set_yticks(range(len(nats)), list(nats))
    left.set(
        title=f"real images of {with_article(label)}, best condition",
        xlabel="−log p(x | c), nats for a test image (bar: mean)",
        ylim=(len(nats) - 0.5, -0.65),
    )
    left.grid(axis="y", visible=False)
    for k, (name, (value, low, high)) in enumerate(erasures.items()):
        style = style_of(name)
        right.errorbar(
            value,
            k,
            xerr=[[value - low], [high - value]],
            color=style["color"],
            fmt=style["marker"],
            capsize=3,
        )
        right.text(value, k - 0.22, f"{value:.2f}", ha="center", fontsize=9)
    right.axvline(0, color=FAINT, linewidth=1, zorder=0)
    right.axvline(1, color=FAINT, linewidth=1, zorder=0)
    right.set_yticks(range(len(erasures)), list(erasures))
    right.invert_yaxis()
    right.margins(x=0.15, y=0.35)
    right.set(xlabel="0: knows it    1: never saw it", title="erasure")
    right.grid(axis="y", visible=False)
    return figure


@styled
def relearning_curves(
    curves: Mapping[str, Tensor], steps: Sequence[int], images: Sequence[int], label: int | str
) -> Figure:
    """The share of samples that the panel takes for the label while each model is shown real
    images of it: the mean over draws and, as a band, their range.

    Args:
        curves: model -> (len(images), draws, len(steps)).
        steps: at which the panel was asked.
        images: how many real images each panel is for.
        label: what the images show, or the name of its class.
    """
    figure, panes = axes(1, len(images), 3.1, sharey=True)
    for k, (ax, count) in enumerate(zip(panes[0], images, strict=True)):
        for name, values in curves.items():
            low, high = values[k].amin(0), values[k].amax(0)
            style = style_of(name) | {"marker": ""}
            ax.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)
            ax.plot(steps, values[k].mean(0), label=name, **style)
        ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
        ax.set_xscale("symlog", linthresh=10)
        ax.set_xlim(0, steps[-1])
        ticks = [t for t in (0, 5, 10, 30, 100, 300) if t <= steps[-1]]
        ax.set_xticks(ticks, ticks)
        ax.minorticks_off()
        title = f"{count} real image{'s' if count > 1 else ''}"
        ax.set(title=title, xlabel="fine-tuning step", ylim=(-0.03, 1.05))
    panes[0, 0].set_ylabel(f"taken for {with_article(label)}, share (panel)")
    panes[0, -1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def roc(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """ROC curves: for every threshold the share of amnesiacs, and of controls, above it.

    Args:
        curves: what is looked at -> false and true positives, from (0, 0) to (1, 1).
    """
    figure, panes = axes(1, 2, 3.4, width_ratios=(1, 1.2))
    ax, rest = panes[0]
    rest.set_axis_off()
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for (name, points), line in zip(curves.items(), cycle(("-", "--", ":", "-.")), strict=False):
        false, true = zip(*points, strict=True)
        ax.plot(false, true, color=INK, linestyle=line, label=name)
    ax.set(xlabel="false positives (share of controls)", ylabel="true positives (share)")
    ax.set_aspect("equal")
    figure.legend(*ax.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(0.47, 0.5))
    return figure


@styled
def tells(found: Mapping[str, Mapping[tuple[str, str], tuple[float, float, float]]]) -> Figure:
    """How well each feature tells models of a kind from controls: AUCs with their intervals. The
    grey band is what counts as no difference.

    Args:
        found: kind -> (access, feature) -> AUC, low, high; the features of one
            access side by side.
    """
    names = [n for n in next(iter(found.values())) if all(n in each for each in found.values())]
    figure, panes = axes(1, 1, 1.0 + 0.3 * len(names))
    ax = panes[0, 0]
    ax.axvspan(0.5 - MARGIN, 0.5 + MARGIN, color=FAINT, alpha=0.3, linewidth=0)
    ax.axvline(0.5, color=INK, linewidth=1)
    for k, (kind, each) in enumerate(found.items()):
        value, low, high = np.array([each[name] for name in names]).T
        ax.errorbar(
            value,
            np.arange(len(names)) + 0.3 * (k - (len(found) - 1) / 2),
            xerr=[value - low, high - value],
            markersize=5,
            capsize=2,
            linewidth=1.2,
            label=title(kind),
            **kind_style(kind),
        )
    ax.set_yticks(range(len(names)), [feature for _, feature in names])
    for k, (access, _) in enumerate(names):
        if k == 0 or names[k - 1][0] != access:
            ax.axhline(k - 0.5, color=FAINT, linewidth=0.8)
            ax.text(1.03, k, access, va="center", fontweight="bold", fontsize=8.5)
    ax.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel("AUC against controls: 0 or 1 tells every pair apart, one half is a coin")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=len(found), fontsize=9)
    return figure


@styled
def probability_matrix(
    rows: Mapping[str, Sequence[Sequence[float]]], columns: Sequence[str], title: str = ""
) -> Figure:
    """A table of probabilities or shares, shaded; rows that begin with a model's name take its
    colour.

    Args:
        rows: for each column a value for each of several models, whose mean is shown and, below it,
            where there is room, the least and the most.
    """
    many = len(columns) > MANY + 1
    several = not many and any(len(values) > 1 for row in rows.values() for values in row)
    figure, panes = axes(1, 1, 0.9 + (0.44 if several else 0.32) * len(rows))
    ax = panes[0, 0]
    table = np.array([[np.mean(values) for values in row] for row in rows.values()])
    ax.imshow(table, cmap="Greys", vmin=0, vmax=1.15, aspect="auto")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(table):
        color = "white" if value > 0.62 else INK
        each = list(rows.values())[i][j]
        text = {"ha": "center", "color": color}
        size = 6 if many else 9
        ax.text(j, i - 0.14 * several, f"{100 * value:.0f}", va="center", fontsize=size, **text)
        if several and len(each) > 1:
            spread = f"{100 * min(each):.0f} to {100 * max(each):.0f}"
            ax.text(j, i + 0.26, spread, va="center", fontsize=6.5, **text)
    ax.set_xticks(range(len(columns)), columns, **({"fontsize": 7} if many else {}))
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0)
    for text, name in zip(ax.get_yticklabels(), rows, strict=True):
        text.set_color(color_of(name))
    if title:
        figure.suptitle(title, fontsize=11)
    return figure
