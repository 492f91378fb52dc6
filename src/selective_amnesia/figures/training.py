"""Figures of training: learning curves, terms of a loss, and values label by label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..metrics.statistics import interval
from .style import (
    FAINT,
    FORGOTTEN,
    GREEN,
    INK,
    MODEL_STYLE,
    ROSE,
    VIOLET,
    axes,
    label_points,
    named,
    styled,
)


@styled
def learning_curve(history: Mapping[str, Tensor], reference: float | None = None) -> Figure:
    """Loss, BCE and KL per image (nats) over training steps, train and test.

    Args:
        history: of a CVAE.
        reference: a test loss to compare with, drawn as a line.
    """
    figure, panes = axes(1, 3, 3.2)
    evaluated = history["eval_step"]
    last = float(evaluated[-1])
    for ax, key, name in zip(panes[0], ("loss", "bce", "kl"), ("loss", "BCE", "KL"), strict=True):
        ax.plot(history["step"], history[key], color=FAINT, label="train")
        ax.plot(evaluated[1:], history[f"test_{key}"][1:], color=INK, label="test")
        ax.set(title=name, xlabel="training step", ylabel="nats per image")
        final = float(history[f"test_{key}"][-1])
        spread = 0.3 * final if key != "kl" else 0.6 * final
        ax.set_ylim(final - spread / 4 if key != "kl" else 0, final + spread)
        ax.annotate(
            f"{final:.1f}", (last, final), xytext=(5, 0), textcoords="offset points", va="center"
        )
        ax.set_xlim(right=1.25 * last)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    if reference is not None:
        label = f"paper's recipe: {reference}"
        over = 0, last  # not across the number at its end
        panes[0, 0].hlines(reference, *over, FORGOTTEN, linewidth=1.2, linestyle=":", label=label)
    panes[0, 0].legend(loc="upper right")
    return figure


@styled
def forgetting_terms(histories: Mapping[str, Mapping[str, Tensor]], pixels: int = 784) -> Figure:
    """The three terms of Selective Amnesia over the steps, a line a run; the forget term on a log
    axis, above its floor of `pixels` ln 2 nats, the cost of noise under flat grey.

    Args:
        histories: name -> "step" (T,), and "forget", "replay" and "ewc" (T,) in nats per image of
            the batch, as `forgetting.selective_amnesia` records them.
    """
    floor = math.log(2) * pixels
    titles = {"forget": "forget, above its floor", "replay": "replay", "ewc": "EWC"}
    colors = dict(zip(titles, (ROSE, VIOLET, GREEN), strict=True))
    figure, panes = axes(1, 3, 3.2)
    lines = ("-", "--", ":", "-.")
    for ax, (key, title) in zip(panes[0], titles.items(), strict=True):
        for style, (name, history) in zip(lines, histories.items(), strict=False):
            values = history[key] - floor if key == "forget" else history[key]
            ax.plot(history["step"], values, style, color=colors[key], label=name)
        ax.set(title=title, xlabel="forgetting step", ylabel="nats per image of the batch")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.legend(fontsize=9)
    panes[0, 0].set_yscale("log")
    panes[0, 0].set_title(f"{titles['forget']} of {floor:.0f}")
    panes[0, 2].set_ylim(bottom=0)
    return figure


@styled
def per_label(
    values: Mapping[str, Tensor],
    ylabel: str,
    *,
    labels: Sequence[int] | None = None,
    forgotten: Iterable[int] = (),
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Means with 95 % bootstrap intervals, one group of points a label.

    Args:
        values: name -> (labels, N); names of models take their colours.
        labels: those of the rows.
        names: of all classes.
    """
    forgotten, spare = set(forgotten), iter((VIOLET, GREEN, ROSE))
    labels = range(len(next(iter(values.values())))) if labels is None else labels
    lost = [place for place, label in enumerate(labels) if label in forgotten]
    points, looks = {}, []
    for k, (name, rows) in enumerate(values.items()):
        points[name] = np.array([[float(row.float().mean()), *interval(row)] for row in rows])
        style = MODEL_STYLE.get(name) or {"color": next(spare), "marker": "osD"[k % 3]}
        looks.append({"fmt": style["marker"], "color": style["color"]})
    rows_named = named(labels, names)
    return label_points(points, looks, rows_named, lost, 3.2, ylabel=ylabel, title=title)
