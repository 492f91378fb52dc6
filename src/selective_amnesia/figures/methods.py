"""Figures of forgetting methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..forgetting import RETRAIN, title
from .style import FAINT, INK, axes, color_of, styled

Range = tuple[float, float, float]  # mean, least, most

OURS = "calibrated_amnesia"
PANELS = {  # measure -> what its axis says, and where a model that never saw the label would be
    "erasure": ("erasure\n(1: as if never seen)", 1),
    "cost": ("kept labels' cost\n(nats per image)", 0),
    "label": ("seen under its\nlabel (share)", 0),
    "relearning": ("relearning area\nabove the controls'", 0),
}
AMNESIAC, CONTROL = color_of("amnesiac"), color_of("control")


def _style(method: str) -> dict[str, Any]:
    if method == RETRAIN:
        return {"color": CONTROL, "fmt": "^"}
    if method == OURS:
        return {"color": AMNESIAC, "fmt": "s"}
    return {"color": INK, "fmt": "o"}


@styled
def leaderboard(rows: Mapping[str, Mapping[str, Range]], forgotten: str) -> Figure:
    """The leaderboard, a line for each method: means, with bars from the least to the most over the
    originals; what the controls range over is shaded.

    Args:
        rows: method -> measure -> (mean, least, most), the best first, with those of PANELS in it.
        forgotten: what was forgotten, for the title.
    """
    figure, panes = axes(1, len(PANELS), 0.9 + 0.32 * len(rows), sharey=True)
    for ax, (measure, (name, ideal)) in zip(panes[0], PANELS.items(), strict=True):
        if RETRAIN in rows:
            ax.axvspan(*rows[RETRAIN][measure][1:], color=CONTROL, alpha=0.18, lw=0)
        ax.axvline(ideal, color=CONTROL, linestyle=":", linewidth=1.5)
        for y, (method, row) in enumerate(rows.items()):
            mean, low, high = row[measure]
            bar = [[mean - low], [high - mean]]
            style = _style(method)
            ax.errorbar(mean, y, xerr=bar, capsize=2, elinewidth=1, markersize=6, **style)
        ax.set_xlabel(name)
        ax.margins(x=0.1)
    panes[0, 1].set_xscale("symlog", linthresh=1)
    panes[0, 1].set_xticks([-0.5, 0, 0.5, 1, 3, 10], ["−½", "0", "½", "1", "3", "10"])
    panes[0, 1].minorticks_off()
    panes[0, 0].set_yticks(range(len(rows)), list(map(title, rows)))
    for tick, method in zip(panes[0, 0].get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if method == OURS else "normal")
    panes[0, 0].invert_yaxis()
    panes[0, 0].grid(axis="y", visible=False)
    figure.suptitle(f"forgetting {forgotten} (shaded: the controls among themselves)", fontsize=11)
    return figure


@styled
def leaderboard_sets(methods: Mapping[str, Mapping[str, Mapping[str, Range]]]) -> Figure:
    """Erasure, cost, relearning and gap of methods for each forget set, means with bars from the
    least to the most over the originals; the controls' are shaded.

    Args:
        methods: method -> forget set -> measure -> (mean, least, most), with the four.
    """
    figure, panes = axes(4, 1, 9.0, sharex=True, height_ratios=(3, 2, 2, 2))
    names = sorted({name for sets in methods.values() for name in sets}, key=lambda n: (len(n), n))
    places = {name: k for k, name in enumerate(names)}
    others = {method: sets for method, sets in methods.items() if method != RETRAIN and sets}
    style = {method: _style(method) for method in others}
    for method, marker in zip((m for m in others if m != OURS), cycle("oDvP"), strict=False):
        style[method]["fmt"] = marker
    for (ax,), measure in zip(panes, ("erasure", "cost", "relearning", "gap"), strict=True):
        for shift, (method, sets) in enumerate(others.items()):
            apart = 0.6 / max(1, len(others) - 1)
            x = [places[name] + apart * (shift - (len(others) - 1) / 2) for name in sets]
            _ranges(
                ax, x, [table[measure] for table in sets.values()], title(method), style[method]
            )
        ax.grid(axis="x", visible=False)
        ax.margins(y=0.12)
    top, cost, relearning, bottom = panes[:, 0]
    for name, table in methods.get(RETRAIN, {}).items():
        _shade(top, relearning, bottom, places[name], table)
    top.axhline(1, color=CONTROL, linestyle=":", linewidth=2)
    top.set(title="each set forgotten on its own (shaded: the controls)", ylabel="erasure")
    low, high = top.get_ylim()
    top.set_ylim(low, high + 0.15 * (high - low))  # room for the legend
    top.legend(loc="upper right", ncols=len(others))
    cost.axhline(0, color=FAINT, linewidth=1)
    cost.set(ylabel="cost (nats per image)")
    relearning.axhline(0, color=CONTROL, linestyle=":", linewidth=2)
    relearning.set(ylabel="relearning area\nabove the controls'")
    bottom.set(ylabel="gap", xlabel="forgotten labels", ylim=(0, None))
    bottom.set_xticks(range(len(names)), names)
    return figure


def _ranges(
    ax: Axes, x: list[float], ranges: list[Range], name: str, style: dict[str, Any]
) -> None:
    """Means at places x, with bars from the least to the most."""
    below, above = [m - a for m, a, _ in ranges], [b - m for m, _, b in ranges]
    ax.errorbar(
        x,
        [mean for mean, _, _ in ranges],
        yerr=[below, above],
        capsize=2,
        elinewidth=1,
        markersize=6,
        label=name,
        **style,
    )


def _shade(
    erasure: Axes, relearning: Axes, gap: Axes, place: int, controls: Mapping[str, Range]
) -> None:
    """What the controls range over; of a single control only the gap is known."""
    shade: dict[str, Any] = {"color": CONTROL, "alpha": 0.25, "linewidth": 0}
    for ax, measure in ((erasure, "erasure"), (relearning, "relearning")):
        if measure in controls:
            _, low, high = controls[measure]
            ax.bar(place, high - low, 0.8, low, **shade)
    gap.bar(place, controls["gap"][0], 0.8, **shade)


@styled
def attack_margin(history: Mapping[str, Tensor]) -> Figure:
    """How far above its level the best attack of the moment stands while Calibrated Amnesia trains.

    Args:
        history: of an amnesiac by that method.
    """
    figure, panes = axes(1, 1, 3.2)
    ax = panes[0, 0]
    steps, margin = history["step"], history["margin"]
    ax.plot(steps, margin, color=AMNESIAC, label="the best attack of the moment")
    ax.fill_between(steps, margin, 0, where=margin < 0, color=AMNESIAC, alpha=0.25, lw=0)
    ax.axhline(0, color=CONTROL, linestyle="--", label="its level, where the hinge holds it")
    ax.set_yscale("symlog", linthresh=10)
    ticks = [-10, -5, 0, 5, 10, 20, 50, 100]
    ax.set_yticks(ticks, [str(t).replace("-", "−") for t in ticks])
    ax.set_ylim(min(-3.0, float(margin.min()) - 1), 1.2 * max(5.0, float(margin.max())))
    ax.set_xlabel("forgetting step")
    ax.set_ylabel("nats per image above the level")
    ax.legend()
    return figure


@styled
def frontier(points: Mapping[str, Mapping[str, tuple[float, float]]]) -> Figure:
    """Erasure and cost of methods as one of their settings is turned.

    Args:
        points: method -> setting -> (erasure, cost).
    """
    figure, panes = axes(1, 1, 3.8)
    ax = panes[0, 0]
    for method, path in points.items():
        style = _style(method)
        x, y = zip(*path.values(), strict=True)
        ax.plot(x, y, marker=style["fmt"], color=style["color"], label=title(method))
        for setting, point in path.items():
            ax.annotate(setting, point, xytext=(4, -13), textcoords="offset points", fontsize=8)
    ax.axvline(1, color=CONTROL, linestyle=":", linewidth=2)
    ax.axhline(0, color=FAINT, linewidth=1)
    ax.set_xlabel("erasure (0: knows it, 1: as if never seen)")
    ax.set_ylabel("kept labels' cost (nats per image)")
    ax.margins(x=0.1, y=0.15)
    ax.legend()
    return figure
