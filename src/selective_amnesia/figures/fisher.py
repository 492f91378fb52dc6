"""Figures of the Fisher information: where it lies, and how well it is estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from torch import Tensor

from ..models.classifiers import side_of
from .style import (
    FAINT,
    FORGOTTEN,
    GREEN,
    INK,
    VIOLET,
    axes,
    label_colors,
    name_ticks,
    named,
    styled,
)


@styled
def fisher_layers(fisher: Mapping[str, Tensor]) -> Figure:
    """Each layer's share of all information, and the distribution of its weights' entries."""
    names = [name.removesuffix(".weight") for name in fisher if name.endswith(".weight")]
    figure, panes = axes(1, 2, 3.4, width_ratios=[1, 1.3])
    totals = np.array(
        [float(fisher[f"{n}.weight"].sum() + fisher[f"{n}.bias"].sum()) for n in names]
    )
    share, spread = panes[0]
    colors = [VIOLET if n.startswith("decoder") else GREEN for n in names]
    share.barh(names, totals / totals.sum(), color=colors)
    share.invert_yaxis()
    share.xaxis.set_major_formatter(PercentFormatter(1))
    share.set(title="share of the total", xlabel="share of the summed Fisher diagonal")
    share.grid(axis="y", visible=False)
    bins = np.linspace(-9, 5, 80)
    for name, style in zip(names, _layer_styles(names), strict=True):
        values = fisher[f"{name}.weight"].flatten().numpy()
        density, edges = np.histogram(np.log10(values[values > 0]), bins, density=True)
        spread.plot((edges[1:] + edges[:-1]) / 2, density, label=name, **style)
    spread.set(
        title="distribution over the weights",
        xlabel="log10 of a weight's Fisher entry (nats² per squared weight)",
        ylabel="density",
    )
    spread.legend(fontsize=8)
    return figure


def _layer_styles(names: Sequence[str]) -> list[dict[str, Any]]:
    """Encoder and decoder by their colour, their layers by the line."""
    lines = {VIOLET: iter(("-", "--", ":")), GREEN: iter(("-", "--", "-.", ":"))}
    colors = [VIOLET if name.startswith("decoder") else GREEN for name in names]
    return [{"color": color, "linestyle": next(lines[color])} for color in colors]


@styled
def fisher_maps(fisher: Mapping[str, Tensor], names: Sequence[str] | None = None) -> Figure:
    """Which pixels and which labels matter: sums over the first encoder and last decoder layer.

    Args:
        names: of the classes.
    """
    figure, panes = axes(1, 3, 3.1)
    first = fisher["encoder.0.weight"].sum(0)
    last = fisher["decoder.4.weight"].sum(1)
    pixels, side = len(last), side_of(last)
    for ax, values, title in (
        (panes[0, 0], first[:pixels], "input pixels (encoder)"),
        (panes[0, 1], last, "output pixels (decoder)"),
    ):
        shown = ax.imshow(np.log10(values.view(side, side).numpy() + 1e-12), cmap="magma")
        floor = float(np.log10(np.quantile(values.numpy() + 1e-12, 0.35)))
        shown.set_clim(floor, float(np.log10(values.max().numpy())))
        ax.set(title=title, xlabel="column (pixel)", ylabel="row (pixel)")
        ax.grid(False)
        figure.colorbar(shown, ax=ax, label="log10 Fisher", shrink=0.8)
    classes = len(first) - pixels  # either network's first layer is given the condition last
    labels = fisher["decoder.0.weight"][:, -classes:].sum(0).numpy()
    panes[0, 2].bar(range(classes), labels, color=label_colors(classes))
    panes[0, 2].set(title="labels (decoder)", xlabel="label", ylabel="summed Fisher")
    name_ticks(panes[0, 2].xaxis, named(range(classes), names))
    panes[0, 2].grid(axis="x", visible=False)
    return figure


@styled
def fisher_units(fisher: Mapping[str, Tensor]) -> Figure:
    """Hidden units by the information of their incoming weights, largest first."""
    figure, panes = axes(1, 1, 3.0)
    ax = panes[0, 0]
    names = ("encoder.0", "encoder.2", "decoder.0", "decoder.2")
    for name, style in zip(names, _layer_styles(names), strict=True):
        units = fisher[f"{name}.weight"].sum(1).sort(descending=True).values
        x = np.linspace(0, 1, len(units))
        ax.plot(x, units.clamp(min=1e-6), label=f"{name} ({len(units)} units)", **style)
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set(
        title="hidden units, most informative first",
        xlabel="rank among the layer's units",
        ylabel="summed Fisher of a unit",
    )
    ax.legend(fontsize=8)
    return figure


@styled
def fisher_convergence(counts: Sequence[int], errors: Sequence[float], total: int) -> Figure:
    """Relative error of the estimate after n samples, against an independent estimate.

    Args:
        counts: n of each estimate.
        errors: its relative error.
        total: the samples of the independent estimate.
    """
    figure, panes = axes(1, 1, 3.0)
    ax = panes[0, 0]
    counts_, errors_ = np.array(counts), np.array(errors)
    ax.loglog(counts_, errors_, "o-", color=INK, label="measured")
    guide = errors_[0] * np.sqrt(counts_[0] / counts_)
    ax.loglog(counts_, guide, color=FAINT, linestyle="--", label="falling as 1 / √n")
    marks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    ax.set_yticks([m for m in marks if errors_.min() / 2 < m < 2 * errors_.max()])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(title="how the estimate settles", xlabel="samples n", ylabel="relative error")
    against = f"against an independent\nestimate of {total:,} samples"
    ax.annotate(against, (0.02, 0.06), xycoords="axes fraction", fontsize=8)
    ax.legend()
    return figure


@styled
def per_sample_against_batch(
    fisher: Mapping[str, Tensor], mistaken: Mapping[str, Tensor], batch: int
) -> Figure:
    """The squared gradient of each sample against the square of a batch's mean gradient.

    Args:
        fisher: the diagonal by parameter name.
        mistaken: the same from batches' mean gradients.
        batch: how many samples a batch had.
    """
    figure, panes = axes(1, 2, 3.3)
    by_sample = torch.cat([fisher[k].flatten() for k in fisher])
    by_batch = torch.cat([mistaken[k].flatten() for k in fisher])
    some = (by_sample > 1e-8) & (by_batch > 1e-12)
    right, wrong = by_sample[some].numpy(), by_batch[some].numpy()
    left, hist = panes[0]
    left.hexbin(np.log10(right), np.log10(wrong), gridsize=60, cmap="Greys", bins="log")
    low, high = np.log10(right).min(), np.log10(right).max()
    left.plot([low, high], [low, high], color=FORGOTTEN, linewidth=1, label="equal")
    left.set(
        title="weight by weight",
        xlabel="log10, per-sample squares",
        ylabel="log10, squared batch mean",
    )
    left.legend()
    ratio = right / wrong
    hist.hist(np.log10(ratio), bins=np.linspace(0, 5, 80), color=INK)
    hist.axvline(np.log10(np.median(ratio)), color=FORGOTTEN)
    hist.axvline(np.log10(batch), color=FAINT, linestyle="--")
    hist.annotate(
        f"median {np.median(ratio):.0f} x",
        (np.log10(np.median(ratio)), 0.95),
        xycoords=("data", "axes fraction"),
        color=FORGOTTEN,
        ha="right",
        xytext=(-4, 0),
        textcoords="offset points",
    )
    hist.set(
        title="how much smaller the mistake is",
        xlabel=f"log10 of the ratio (dashed: the batch size, {batch})",
        ylabel="weights",
    )
    return figure
