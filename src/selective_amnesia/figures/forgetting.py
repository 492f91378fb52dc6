"""Figures of what forgetting did: confusion, distances, one label after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..metrics.recognition import Scores
from .style import (
    FAINT,
    INK,
    MANY,
    MODEL_STYLE,
    axes,
    color_of,
    first_of_row,
    mark_forgotten,
    name_ticks,
    named,
    squares,
    styled,
)


@styled
def confusions(
    tables: Mapping[str, Tensor],
    forgotten: Iterable[int] = (),
    names: Sequence[str] | None = None,
) -> Figure:
    """What the panel takes the samples for: (classes, classes + 1), a square a model.

    Args:
        names: of the classes.
    """
    forgotten = set(forgotten)
    classes = len(next(iter(tables.values())))
    rows = named(range(classes), names)
    figure, panes = squares(len(tables), classes, 0.9 + 8.4 / len(tables))
    size = 7.5 if classes <= MANY else 5.5
    for ax, (name, table) in zip(panes, tables.items(), strict=True):
        ax.imshow(table.numpy(), cmap="Greys", vmin=0, vmax=1)
        ax.grid(False)
        # lower: there is no room beside 9
        name_ticks(ax.xaxis, [*rows, "none" if max(map(len, rows)) > 2 else "\nnone"])
        name_ticks(ax.yaxis, rows if first_of_row(ax) else [""] * classes)
        for i, j in ((table * 100).round() >= 1).nonzero().tolist():
            share = float(table[i, j])
            color = "white" if share > 0.5 else INK
            text = f"{100 * share:.0f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=size, color=color)
        mark_forgotten(ax.get_yticklabels(), forgotten)
        ax.set_title(name, color=color_of(name))
        ax.set_xlabel("taken for, % of the samples")
    panes[0].set_ylabel("label asked for")
    return figure


@styled
def frechet(distances: Mapping[str, Tensor], labels: Sequence[int | str]) -> Figure:
    """Frechet distances to real test images, one bar a label and model.

    Args:
        distances: name -> (len(labels),).
        labels: or the names of their classes.
    """
    figure, panes = axes(1, 1, 3.0)
    ax = panes[0, 0]
    width = 0.8 / len(distances)
    for k, (name, values) in enumerate(distances.items()):
        color = MODEL_STYLE.get(name, {"color": FAINT})["color"]
        hatch = ("", "//", "..")[k % 3]
        x = np.arange(len(labels)) + width * (k - (len(distances) - 1) / 2)
        ax.bar(x, values.numpy(), width, color=color, label=name, hatch=hatch, edgecolor="white")
    name_ticks(ax.xaxis, [str(label) for label in labels])
    ax.set(xlabel="label", ylabel="squared Frechet distance\n(in a CNN's features)")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def sequence_curve(scores: Sequence[Scores], baseline: Scores) -> Figure:
    """Sequential forgetting: the share of samples that the panel takes for their label, of those
    still known and of those forgotten, after each round.

    Args:
        scores: after each round.
        baseline: of the original.
    """
    rounds = range(len(scores) + 1)
    tables = [baseline.panel.mean(1), *(s.panel.mean(1) for s in scores)]
    kept = [float(t[k:].mean()) for k, t in enumerate(tables)]
    worst = [float(t[k:].min()) for k, t in enumerate(tables)]
    lost = [float(t[:k].mean()) if k else np.nan for k, t in enumerate(tables)]
    figure, panes = axes(1, 1, 3.2)
    ax = panes[0, 0]
    ax.plot(rounds, kept, "o-", color=color_of("original"), label="kept labels, mean")
    ax.plot(rounds, worst, "v:", color=FAINT, label="kept labels, worst")
    ax.plot(rounds, lost, "s--", color=color_of("amnesiac"), label="forgotten, mean")
    ax.set_xticks(rounds, ["none", *(f"0-{k - 1}" if k > 1 else "0" for k in rounds if k)])
    ax.set(
        xlabel="labels forgotten so far",
        ylabel="taken for its label, share (panel)",
        ylim=(-0.03, 1.03),
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
