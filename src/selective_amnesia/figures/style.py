"""The visual language that all figures share.

Original, amnesiac and control keep one colour, line style and marker each, apart in greyscale too;
labels keep one palette; every axis has a name and a unit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")

WIDTH = 9.0  # inches: 900 pixels, the width of Colab, at twice the resolution
DPI = 200
INK = "#2b2b2b"
FAINT = "#b8b8b8"
FORGOTTEN = "#b3261e"

MODEL_STYLE: dict[str, dict[str, Any]] = {
    "original": {"color": "#1f3b57", "linestyle": "-", "marker": "o"},
    "amnesiac": {"color": "#d1603d", "linestyle": "--", "marker": "s"},
    "control": {"color": "#e2b64a", "linestyle": ":", "marker": "^"},
}
PLAIN: dict[str, Any] = {"color": INK, "linestyle": "-", "marker": "D"}
# what is no model: terms of a loss, judge and panel, parts of a network
VIOLET, GREEN, ROSE = "#9c84cf", "#2f6f57", "#c2528b"

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw in the lab's style, from tensors of any device, and leave matplotlib's own settings as
    they are.

    Raises:
        ValueError: a mapping is empty, so there is nothing to draw.
    """

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if any(isinstance(each, Mapping) and not each for each in (*args, *kwargs.values())):
            raise ValueError(
                f"{draw.__name__} has nothing to draw: give at least one entry of each"
            )
        with rc_context(STYLE):
            return draw(*on_cpu(args), **on_cpu(kwargs))

    return wrapper


def on_cpu(value: Any) -> Any:
    """`value`, mappings and sequences too, with its tensors where they can be drawn from."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {k: on_cpu(v) for k, v in value.items()}
    return type(value)(map(on_cpu, value)) if isinstance(value, list | tuple) else value


def style_of(name: str) -> dict[str, Any]:
    """Colour, line style and marker of the model that a name begins with; of no model ink, a plain
    line and a diamond."""
    return next((s for model, s in MODEL_STYLE.items() if name.startswith(model)), PLAIN).copy()


def color_of(name: str) -> str:
    """The colour of the model that a name begins with, ink otherwise."""
    return str(style_of(name)["color"])


def label_colors(classes: int = 10) -> list[str]:
    """One colour a label."""
    from seaborn import color_palette  # slow to import, and few figures need it

    return [to_hex(c) for c in color_palette("husl", classes)]


def mark_forgotten(texts: Iterable[Text], forgotten: Iterable[int]) -> None:
    """Set those of the texts apart, usually an axis' labels, whose places are given."""
    places = set(forgotten)
    for place, text in enumerate(texts):
        if place in places:
            text.set(color=FORGOTTEN, fontweight="bold")


def named(labels: Iterable[int], names: Sequence[str] | None) -> list[str]:
    """What stands for labels in a figure: the names of their classes or, where none are given, the
    labels themselves."""
    return [str(label) if names is None else names[label] for label in labels]


def with_article(name: object) -> str:
    """A class, by its name or label, in a sentence: "a dress", "an ankle boot", "an 8"."""
    word = str(name)
    vowels = "AEFHILMNORSX8" if len(word) == 1 else "AEIOU"  # as a single letter is said
    return f"{'an' if word[0].upper() in vowels else 'a'} {word}"


MANY = 13  # classes whose names still stand side by side in letters of the usual size


def name_ticks(axis: Axis, names: Sequence[str]) -> None:
    """A tick for each class; small where there are many, and upright below where names are long."""
    look: dict[str, Any] = {"fontsize": 7} if len(names) > MANY else {}
    long = max(len(name) for name in names if "\n" not in name) > 2
    if long and isinstance(axis, XAxis):
        look["rotation"] = 90
    axis.set_ticks(range(len(names)), names, **look)


def squares(count: int, classes: int, side: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` tables of classes x classes: side by side, each `side` inches high, or,
    where their cells would be too small, fewer in a row."""
    if classes <= MANY:
        figure, panes = axes(1, count, side)
        return figure, list(panes[0])
    across = max(1, min(count, int(WIDTH / (0.17 * classes))))
    down = -(-count // across)
    figure, panes = axes(down, across, down * (0.9 + WIDTH / across))
    for spare in panes.flat[count:]:
        spare.set_visible(False)
    return figure, list(panes.flat[:count])


def first_of_row(ax: Axes) -> bool:
    """Whether an axis is the first of its row."""
    place = ax.get_subplotspec()
    return place is None or place.is_first_col()


def label_points(
    points: Mapping[str, NDArray[Any]],
    looks: Iterable[Mapping[str, str]],
    names: Sequence[str],
    forgotten: Iterable[int],
    height: float,
    **words: str,
) -> Figure:
    """Points with their intervals, side by side for each label.

    Args:
        points: what is measured -> (labels, 3), value, low and high.
        looks: of each of these "fmt", the marker, and "color".
        names: of the labels.
        forgotten: places of the labels that are set apart.
        height: in inches.
        words: the figure's "ylabel" and "title".
    """
    figure, panes = axes(1, 1, height)
    ax = panes[0, 0]
    for k, ((name, table), look) in enumerate(zip(points.items(), looks, strict=False)):
        value, low, high = table.T
        ax.errorbar(
            np.arange(len(table)) + 0.18 * (k - (len(points) - 1) / 2),
            value,
            yerr=np.abs([low - value, high - value]),
            markersize=5,
            capsize=2,
            linewidth=1.2,
            label=name,
            **look,
        )
    name_ticks(ax.xaxis, names)
    mark_forgotten(ax.get_xticklabels(), forgotten)
    ax.set(xlabel="label", **words)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def axes(
    rows: int = 1, columns: int = 1, height: float = 3.2, **kwargs: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure of that height in inches, and its axes as an array (rows, columns)."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)
