"""The figures of notebook 07: attacks, what they recover, and what the audit says is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .evaluation import Examined, interval
from .plots import FAINT, FORGOTTEN, GREEN, INK, MODEL_STYLE, ROSE, VIOLET, Gif, _axes, gif, styled
from .recovery import Landscape

__all__ = [
    "attack_film",
    "bars",
    "codes_curve",
    "confidence",
    "descriptions",
    "landscapes",
    "matrix",
    "relearning_curves",
    "terms",
]

TERM_STYLE = {
    "likelihood": ("-log p", INK, "-"),
    "shape": ("shape", ROSE, "--"),
    "edge": ("edge", GREEN, "-."),
    "repel": ("repel", VIOLET, ":"),
    "tv": ("tv", "#7a7a7a", (0, (1, 1))),
    "diversity": ("diversity", "#3f9fbf", (0, (5, 1))),
    "prior": ("prior of z", "#8a6a3f", (0, (3, 1, 1, 1))),
}


def _color(model: str) -> str:
    return MODEL_STYLE.get(model, {}).get("color", INK)


@styled
def terms(histories: Mapping[str, Mapping[str, Tensor]], best: Mapping[str, int]) -> Figure:
    """The weighed terms of each attack over its steps, a panel a model: thick the start that won,
    thin grey the sum of every other.

    Args:
        histories: model -> history of `recovery.recover`, each term (steps, starts).
        best: model -> the winner's place among the starts.
    """
    figure, axes = _axes(1, len(histories), 3.3, sharey=True)
    for ax, (name, history) in zip(axes[0], histories.items(), strict=True):
        curves = {k: history[k] for k in TERM_STYLE if k in history}
        ax.plot(sum(curves.values()), color=FAINT, linewidth=0.7, zorder=0)
        for key, values in curves.items():
            label, color, style = TERM_STYLE[key]
            ax.plot(values[:, best[name]].clamp(min=1e-4), linestyle=style, color=color,
                    label=label)  # fmt: skip
        ax.set_yscale("log")
        ax.set_ylim(1e-3, None)
        ax.set_title(name, color=_color(name))
        ax.set_xlabel("attack step")
    axes[0, 0].set_ylabel("term (grey: sum of each start)")
    axes[0, -1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def attack_film(histories: Mapping[str, Mapping[str, Tensor]], steps: int, rows: int = 4) -> Gif:
    """The samples while the attack goes on, a column a model, `rows` codes each."""
    frames = torch.stack([history["frames"][:, :rows] for history in histories.values()], 1)
    at = np.linspace(0, steps, len(frames)).round().astype(int)
    return gif(frames, [f"step {k}" for k in at], heads=list(histories), codes=rows, scale=2)


@styled
def confidence(
    verdicts: Mapping[str, Mapping[str, Examined]], digit: int, title: str = ""
) -> Figure:
    """Judge and referee on what each way of asking brings out of each model, with 95 % intervals.

    Args:
        verdicts: way of asking -> model -> verdict.
    """
    figure, axes = _axes(1, len(verdicts), 3.2, sharey=True)
    for ax, (way, models) in zip(axes[0], verdicts.items(), strict=True):
        for k, (name, seen) in enumerate(models.items()):
            color = _color(name)
            _bar(ax, k - 0.2, seen.judge, 0.36, facecolor="white", edgecolor=color, hatch="////")
            _bar(ax, k + 0.2, seen.referee, 0.36, facecolor=color, edgecolor=color)
            share, (_, top) = float(seen.referee.mean()), interval(seen.referee)
            ax.text(k + 0.2, top + 0.02, f"{share:.2f}", ha="center", fontsize=8)
        ax.set_xticks(range(len(models)), list(models), fontsize=8)
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0, 1.12)
        ax.set_title(way)
    axes[0, 0].set_ylabel(f"P({digit})")
    figure.supxlabel("hatched: the judge, which the attack used    filled: the referee", fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _bar(ax, x: float, values: Tensor, width: float, **style) -> None:
    mean, (low, high) = float(values.float().mean()), interval(values)
    ax.bar(x, mean, width, linewidth=1, **style)
    ax.errorbar(x, mean, yerr=[[mean - low], [high - mean]], color=INK, linewidth=1, capsize=2)


@styled
def bars(
    values: Mapping[str, Mapping[str, float]],
    ylabel: str,
    *,
    line: tuple[str, float] | None = None,
    height: float = 3.0,
) -> Figure:
    """One group of bars for each way of asking, one bar a model.

    Args:
        values: way of asking -> model -> value.
        line: a name and a value to compare with, as a horizontal line.
    """
    figure, axes = _axes(1, 1, height)
    ax = axes[0, 0]
    models = list(next(iter(values.values())))
    width = 0.8 / len(models)
    hatches = ("", "//", "..", "xx")
    for k, model in enumerate(models):
        heights = [group[model] for group in values.values()]
        x = np.arange(len(values)) + width * (k - (len(models) - 1) / 2)
        ax.bar(x, heights, width * 0.92, color=_color(model), edgecolor="white",
               hatch=hatches[k % 4], label=model)  # fmt: skip
    if line is not None:
        name, level = line
        ax.axhline(level, color=FORGOTTEN, linestyle="--", linewidth=1.2, label=name)
    ax.set_xticks(range(len(values)), list(values))
    ax.set_ylabel(ylabel)
    ax.grid(axis="x", visible=False)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def codes_curve(verdicts: Mapping[str, Mapping[int, Examined]], digit: int) -> Figure:
    """How well an attack serves codes that it never saw, by the number of codes it was made with.

    Args:
        verdicts: model -> number of codes -> verdict on fresh codes.
    """
    figure, axes = _axes(1, 2, 3.1, sharey=True)
    parts = (("referee", "referee's P({})"), ("judge", "judge's P({})"))
    for ax, (who, title) in zip(axes[0], parts, strict=True):
        for name, by_codes in verdicts.items():
            counts = list(by_codes)
            p = [getattr(seen, who) for seen in by_codes.values()]
            low, high = np.array([interval(values) for values in p]).T
            ax.fill_between(counts, low, high, color=_color(name), alpha=0.2, linewidth=0)
            ax.plot(counts, [float(v.mean()) for v in p], label=name, **MODEL_STYLE[name])
        ax.set_xscale("log", base=2)
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
        ax.set(title=title.format(digit), xlabel="codes in the attack", ylim=(-0.03, 1.05))
    axes[0, 0].set_ylabel("mean over fresh codes")
    axes[0, 1].legend(fontsize=8, loc="lower right")
    return figure


@styled
def landscapes(maps: Mapping[str, Landscape], digit: int) -> Figure:
    """P(digit) by the judge (above) and the referee (below) on a plane of conditions, a column a
    model. The plane goes through the plain label, the attack's start and what it found."""
    figure, axes = _axes(2, len(maps), 5.4)
    for column, (name, seen) in zip(axes.T, maps.items(), strict=True):
        x0, x1, y0, y1 = seen.extent
        for ax, values, who in zip(column, (seen.judge, seen.referee), ("judge", "referee"),
                                   strict=True):  # fmt: skip
            shown = ax.imshow(values, origin="lower", extent=(x0, x1, y0, y1), vmin=0, vmax=1,
                              cmap="cividis", aspect="auto", interpolation="bilinear")  # fmt: skip
            ax.grid(False)
            for (x, y), marker, label in zip(seen.corners, "*os", ("found", "start", "plain label"),
                                             strict=True):  # fmt: skip
                ax.plot(x, y, marker, color="white", markeredgecolor="black", label=label,
                        markersize=12 if marker == "*" else 7, linestyle="")  # fmt: skip
            if ax is column[0]:
                ax.set_title(name, color=_color(name))
            if name == next(iter(maps)):
                ax.set_ylabel(f"{who}", fontweight="bold")
    marks = figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right",
                          ncols=3, fontsize=8, frameon=True, edgecolor="none")  # fmt: skip
    marks.get_frame().set_facecolor("#8a8a8a")
    figure.supylabel("away from that line, towards the plain label", fontsize=9)
    figure.supxlabel("along the line from what was found to the start (a one-hot vector is 1 long)",
                     fontsize=9)  # fmt: skip
    figure.colorbar(shown, ax=axes, label=f"mean P({digit}) over the attack's codes", shrink=0.7,
                    pad=0.01)  # fmt: skip
    return figure


@styled
def descriptions(
    nats: Mapping[str, Tensor], erasures: Mapping[str, tuple[float, float, float]], digit: int
) -> Figure:
    """Left, how many nats each test image costs each model; right, where that puts each model
    between the original (0) and the control (1).

    Args:
        nats: model -> (N,).
        erasures: model -> erasure and its interval.
    """
    figure, axes = _axes(1, 2, 3.0, width_ratios=(1.5, 1))
    left, right = axes[0]
    for k, (name, values) in enumerate(nats.items()):
        jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))
        left.plot(values, k + jitter, ".", color=_color(name), markersize=3, alpha=0.5)
        left.plot([values.mean()] * 2, [k - 0.34, k + 0.34], color=INK, linewidth=2)
        left.text(float(values.mean()), k - 0.38, f"{values.mean():.1f}", ha="center", fontsize=9)
    names = list(nats)
    left.set_yticks(range(len(names)), names)
    left.set(
        xlabel="nats for a test image (bar: mean)", title=f"description length of real {digit}s"
    )
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    for k, (name, (value, low, high)) in enumerate(erasures.items()):
        style = MODEL_STYLE.get(name, {"color": INK, "marker": "D"})
        right.errorbar(value, k, xerr=[[value - low], [high - value]], color=style["color"],
                       fmt=style["marker"], capsize=3)  # fmt: skip
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
    curves: Mapping[str, Tensor], watched: Sequence[int], images: Sequence[int], digit: int
) -> Figure:
    """The referee's P(digit) while each model is shown real images: the mean over draws and, as a
    band, their range.

    Args:
        curves: model -> (len(images), draws, looks).
    """
    figure, axes = _axes(1, len(images), 3.1, sharey=True)
    for k, (ax, count) in enumerate(zip(axes[0], images, strict=True)):
        for name, values in curves.items():
            low, high = values[k].amin(0), values[k].amax(0)
            ax.fill_between(watched, low, high, color=_color(name), alpha=0.18, linewidth=0)
            style = {k: v for k, v in MODEL_STYLE.get(name, {}).items() if k != "marker"}
            ax.plot(watched, values[k].mean(0), label=name, **({"color": INK} | style))
        ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
        ax.set_xscale("symlog", linthresh=10)
        ax.set_xlim(0, watched[-1])
        ticks = [t for t in (0, 5, 10, 30, 100, 300) if t <= watched[-1]]
        ax.set_xticks(ticks, ticks)
        ax.minorticks_off()
        ax.set(title=f"{count} real image{'s' if count > 1 else ''}", xlabel="fine-tuning step",
               ylim=(-0.03, 1.05))  # fmt: skip
    axes[0, 0].set_ylabel(f"referee's P({digit}), plain label")
    axes[0, -1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def matrix(rows: Mapping[str, Sequence[float]], columns: Sequence[str], title: str = "") -> Figure:
    """A table of probabilities, shaded; rows that begin with a model's name take its colour."""
    figure, axes = _axes(1, 1, 0.9 + 0.32 * len(rows))
    ax = axes[0, 0]
    table = np.array(list(rows.values()), dtype=float)
    ax.imshow(table, cmap="Greys", vmin=0, vmax=1.15, aspect="auto")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(table):
        ax.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=9,
                color="white" if value > 0.62 else INK)  # fmt: skip
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0)
    for label, name in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(_color(name.split(":")[0].split(",")[0]))
    if title:
        figure.suptitle(title, fontsize=11)
    return figure
