"""Figures of forgetting methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ..forgetting import RETRAIN, title
from ..metrics.distinguish import ACCESS
from .style import FAINT, axes, color_of, style_of, styled

Range = tuple[float, float, float]  # value, low, high

OURS = "calibrated_amnesia"
AMNESIAC, CONTROL = map(color_of, ("amnesiac", "control"))
COLUMNS = {tier: (f"AUC\n{'with ' * (tier == 'original')}{tier}", 0.5) for tier in ACCESS} | {
    "erasure": ("erasure\n(1: never saw it)", 1),
    "cost": ("kept labels' cost\n(nats per image)", 0),
}


def kind_style(kind: str) -> dict[str, Any]:
    """Colour and marker of a kind of model: ours, another method's, controls, originals."""
    style = style_of({RETRAIN: "control", OURS: "amnesiac"}.get(kind, kind))
    return {"color": style["color"], "fmt": style["marker"]}


@styled
def leaderboard(rows: Mapping[str, Mapping[str, Range]], forgotten: str) -> Figure:
    """The leaderboard, a line for each kind of model: how well each access tells it from controls,
    and what was erased and paid, with 95 % intervals.

    Args:
        rows: kind -> one of COLUMNS -> (value, low, high), the best first; what is not known of a
            kind is left out. Of controls an access has the AUC of one half of them against the
            other: it is shaded.
        forgotten: what was forgotten, for the title.
    """
    shown = [column for column in COLUMNS if any(column in row for row in rows.values())]
    figure, panes = axes(1, len(shown), 1.1 + 0.3 * len(rows), sharey=True)
    for ax, column in zip(panes[0], shown, strict=True):
        words, ideal = COLUMNS[column]
        if column in ACCESS and column in rows.get(RETRAIN, {}):
            ax.axvspan(*rows[RETRAIN][column][1:], color=CONTROL, alpha=0.25, linewidth=0)
        ax.axvline(ideal, color=CONTROL, linestyle=":", linewidth=1.5)
        for y, (kind, row) in enumerate(rows.items()):
            if column in row:
                value, low, high = row[column]
                bar = [[max(0.0, value - low)], [max(0.0, high - value)]]
                ax.errorbar(
                    value, y, xerr=bar, capsize=2, elinewidth=1, markersize=5, **kind_style(kind)
                )
        if column in ACCESS:
            ax.set_xlim(-0.06, 1.06)
            ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        ax.set_xlabel(words)
    if shown[-1] == "cost":
        panes[0, -1].set_xscale("symlog", linthresh=1)
        panes[0, -1].set_xticks([-1, 0, 1, 3, 10], ["−1", "0", "1", "3", "10"])
        panes[0, -1].minorticks_off()
    panes[0, 0].set_yticks(range(len(rows)), list(map(title, rows)))
    for tick, kind in zip(panes[0, 0].get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if kind == OURS else "normal")
    panes[0, 0].invert_yaxis()
    panes[0, 0].grid(axis="y", visible=False)
    shaded = " (shaded: controls from controls)" if rows.get(RETRAIN, {}).keys() & ACCESS else ""
    figure.suptitle(f"beside models that never saw {forgotten}{shaded}", fontsize=11)
    return figure


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
    ax.set(xlabel="forgetting step", ylabel="nats per image above the level")
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
        style = kind_style(method)
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
