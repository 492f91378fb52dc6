"""What unlearning is, as a picture of boxes and arrows."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from .style import FAINT, FORGOTTEN, INK, axes, color_of, styled

DATA, FIRST, SECOND = 0.9, 4.2, 7.9  # where boxes stand, from left to right
UP, DOWN = 2.3, 0.6


@styled
def unlearning_schematic(forgotten: str = "0") -> Figure:
    """Above: train on all data, then unlearn. Below: retrain without the data. Right: what has to
    be compared.

    Args:
        forgotten: what stands for the data to be forgotten.
    """
    figure, panes = axes(1, 1, 3.3)
    ax = panes[0, 0]
    ax.set(xlim=(-0.2, 9.2), ylim=(-0.15, 3.2))
    ax.set_axis_off()
    _box(ax, DATA, UP, "all the data", f"with the {forgotten}s")
    _box(ax, DATA, DOWN, "the rest", f"without the {forgotten}s")
    _box(ax, FIRST, UP, "original", "knows everything", color_of("original"))
    _box(ax, SECOND, UP, "amnesiac", f"is to have forgotten the {forgotten}", color_of("amnesiac"))
    _box(ax, SECOND, DOWN, "control", f"never saw a {forgotten}", color_of("control"))
    _arrow(ax, (DATA + 0.95, UP), (FIRST - 0.95, UP), "train")
    _arrow(ax, (FIRST + 0.95, UP), (SECOND - 1.2, UP), "unlearn\n(approximate)")
    _arrow(ax, (DATA + 0.95, DOWN), (SECOND - 1.2, DOWN), "retrain from scratch (exact)")
    _arrow(ax, (SECOND, UP - 0.5), (SECOND, DOWN + 0.5), "", arrowstyle="<->", color=FORGOTTEN)
    question = "can anyone tell\nthem apart?"
    ax.text(SECOND - 0.15, 0.5 * (UP + DOWN), question, color=FORGOTTEN, ha="right", va="center")
    return figure


def _box(ax: Axes, x: float, y: float, name: str, what: str, color: str = FAINT) -> None:
    half = 0.95 if x < SECOND else 1.2
    shape = FancyBboxPatch(
        (x - half, y - 0.45),
        2 * half,
        0.9,
        boxstyle="round,pad=0,rounding_size=0.12",
        facecolor="white",
        edgecolor=color,
        linewidth=2.5,
    )
    ax.add_patch(shape)
    ax.text(x, y + 0.15, name, ha="center", va="center", fontsize=12, fontweight="bold")
    ax.text(x, y - 0.17, what, ha="center", va="center", fontsize=9.5)


def _arrow(
    ax: Axes, begin: tuple[float, float], end: tuple[float, float], words: str, **style: Any
) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.6, "mutation_scale": 16} | style
    ax.annotate("", end, begin, arrowprops=style | {"shrinkA": 3, "shrinkB": 3})
    middle = 0.5 * (begin[0] + end[0]), begin[1] + 0.14
    ax.text(*middle, words, ha="center", va="bottom")
