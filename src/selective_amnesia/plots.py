"""Every figure of the lab, in one visual language.

Original, amnesiac and control keep one colour, line style and marker each, apart in greyscale too;
digits keep one palette; image grids have row labels; every axis has a name and a unit. Functions
take tensors and return a figure; `Lab.show` saves and displays it.
"""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from torch import Tensor

from .evaluation import Scores, interval
from .models import shaped, side_of

__all__ = [
    "MODEL_STYLE",
    "Gif",
    "before_after",
    "confusions",
    "fisher_convergence",
    "fisher_layers",
    "fisher_maps",
    "fisher_units",
    "forgetting_curves",
    "frechet",
    "gif",
    "grids",
    "learning_curve",
    "per_digit",
    "per_sample_against_batch",
    "png",
    "render",
    "sequence_curve",
]

WIDTH = 9.0  # inches; 900 pixels, Colab's width
DPI = 100
INK = "#2b2b2b"
FAINT = "#b8b8b8"
FORGOTTEN = "#b3261e"

MODEL_STYLE = {
    "original": {"color": "#1f3b57", "linestyle": "-", "marker": "o"},
    "amnesiac": {"color": "#d1603d", "linestyle": "--", "marker": "s"},
    "control": {"color": "#e2b64a", "linestyle": ":", "marker": "^"},
}
# what is no model: terms of a loss, judge and referee, parts of a network
VIOLET, GREEN, ROSE = "#9c84cf", "#2f6f57", "#c2528b"
TERM_COLOR = {"forget": ROSE, "replay": VIOLET, "ewc": GREEN}

STYLE = {
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


def styled(draw: Callable) -> Callable:
    """Draw in the lab's style and leave matplotlib's own settings as they are.

    What cannot be drawn is a ValueError that says of which figure.
    """

    @functools.wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        name = f"{draw.__module__.rpartition('.')[2]}.{draw.__name__}"
        if any(isinstance(each, Mapping) and not each for each in (*args, *kwargs.values())):
            raise ValueError(f"{name} has nothing to draw: give at least one entry of each")
        try:
            with matplotlib.rc_context(STYLE):
                return draw(*on_cpu(args), **on_cpu(kwargs))
        except (LookupError, StopIteration, RuntimeError, AttributeError, ArithmeticError) as error:
            why = str(error).split("\n")[0] or "something in it is empty"
            raise ValueError(f"{name} cannot draw this ({why}): see help({name})") from error

    return wrapper


def on_cpu(value: Any) -> Any:
    """`value`, mappings and sequences too, with its tensors where they can be drawn from."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {k: on_cpu(v) for k, v in value.items()}
    return type(value)(map(on_cpu, value)) if isinstance(value, list | tuple) else value


def digit_colors(classes: int = 10) -> list[str]:
    """One colour a digit."""
    from seaborn import color_palette

    return [to_hex(c) for c in color_palette("husl", classes)]


def _axes(rows: int = 1, columns: int = 1, height: float = 3.2, **kwargs: Any) -> tuple:
    """A figure and its axes, always an array."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


# --- pictures ------------------------------------------------------------------------------------


def tile(images: Tensor, gap: int = 2) -> np.ndarray:
    """Images (R, N, P) as one array in [0, 1]: R rows of N squares with white gaps."""
    shaped(images=(images, "R N P"))
    (r, n, _), side = images.shape, side_of(images)
    values = images.float().cpu() / (255 if images.dtype == torch.uint8 else 1)
    framed = torch.nn.functional.pad(values.view(r, n, side, side), (0, gap, 0, gap), value=1.0)
    board = framed.permute(0, 2, 1, 3).reshape(r * (side + gap), -1)
    return board[: len(board) - gap, : board.shape[1] - gap].numpy()


@styled
def grids(
    panels: Mapping[str, Tensor],
    rows: Sequence[str] | None = None,
    *,
    forgotten: Iterable[int] = (),
    title: str = "",
    height: float | None = None,
) -> Figure:
    """Image grids side by side, one panel a model (or anything else), row labels on the left.

    Args:
        panels: title -> images (R, N, P).
        rows: R labels; without them the rows are digits 0, 1, 2, ...
        forgotten: rows whose label is set apart.
    """
    first = next(iter(panels.values()))
    rows = [str(i) for i in range(len(first))] if rows is None else list(rows)
    if height is None:
        across = sum(images.shape[1] for images in panels.values())
        height = min(9.0, 0.45 + 0.93 * WIDTH * len(first) / across)
    ratios = [images.shape[1] for images in panels.values()]
    figure, axes = _axes(1, len(panels), height, width_ratios=ratios)
    side = int(first.shape[-1] ** 0.5) + 2
    for i, (ax, (name, images)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        ax.set_anchor("N")
        ax.imshow(tile(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.set_xticks([])
        ax.set_yticks([side * (k + 0.5) - 1 for k in range(len(rows))], rows if i == 0 else [])
        ax.tick_params(length=0)
        for k, label in enumerate(ax.get_yticklabels()):
            if k in set(forgotten):
                label.set(color=FORGOTTEN, fontweight="bold")
        ax.set_title(name, color=MODEL_STYLE.get(name, {}).get("color", INK))
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


@styled
def before_after(images: Mapping[str, Tensor], forgotten: Iterable[int], title: str = "") -> Figure:
    """Samples of every digit (classes, N, P), one panel a model, all from the same codes."""
    forgotten = list(forgotten)
    rows = [
        f"{digit} forgotten" if digit in forgotten else str(digit)
        for digit in range(len(next(iter(images.values()))))
    ]
    return grids(images, rows, forgotten=forgotten, title=title)


@dataclass(frozen=True)
class Gif:
    """An animation, encoded."""

    content: bytes


@styled
def gif(
    frames: Tensor,
    captions: Sequence[str],
    *,
    heads: Sequence[str] | None = None,
    codes: int = 3,
    scale: float = 1.5,
    pause: int = 12,
) -> Gif:
    """An animation with a digit (or anything else) in each column and a caption above.

    Args:
        frames: (T, classes, K, P) uint8; the first `codes` of each digit are drawn.
        captions: T texts.
        heads: what stands above the columns, instead of 0, 1, 2, ...
        pause: how many frames long the last one stands.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    pictures = []
    for images, caption in zip(frames[:, :, :codes], captions, strict=True):
        board = (tile(images.transpose(0, 1)) * 255).astype(np.uint8)
        picture = Image.fromarray(board).resize(
            (int(board.shape[1] * scale), int(board.shape[0] * scale)), Image.Resampling.BILINEAR
        )
        page = Image.new("L", (picture.width + 12, picture.height + 58), 255)
        page.paste(picture, (6, 52))
        draw = ImageDraw.Draw(page)
        draw.text((6, 6), caption, fill=20, font=font)
        pitch = picture.width / len(images)
        for k in range(len(images)):
            head = str(k) if heads is None else heads[k]
            draw.text((6 + pitch * (k + 0.5), 32), head, fill=20, font=small, anchor="ma")
        pictures.append(page.quantize(16, dither=Image.Dither.NONE))
    durations = [160] * len(pictures)
    durations[0] *= 4
    durations[-1] *= pause
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=durations,
                     loop=0, optimize=True)  # fmt: skip
    return Gif(out.getvalue())


def png(image: Tensor) -> bytes:
    """One image (P,) in [0, 1] as a PNG file."""
    from PIL import Image

    shaped(image=(image, "P"))
    side = side_of(image)
    values = (image.cpu().view(side, side) * 255).round().byte().numpy()
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


@styled
def render(figure: Figure | Gif) -> tuple[str, bytes, Any]:
    """A figure as (file suffix, file content, what a notebook displays)."""
    from IPython.display import HTML
    from IPython.display import Image as Shown

    if isinstance(figure, Gif):  # not every front end displays image/gif, all display HTML
        encoded = base64.b64encode(figure.content).decode()
        return ".gif", figure.content, HTML(f'<img src="data:image/gif;base64,{encoded}">')
    if not isinstance(figure, Figure):
        raise TypeError(f"{figure!r} is no figure: use what the functions of plots return")
    from PIL import Image, ImageChops

    raw, out = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", facecolor="white")
    page = Image.open(raw).convert("RGB")
    _, top, _, bottom = ImageChops.invert(page).getbbox()
    page = page.crop((0, max(0, top - 6), page.width, min(page.height, bottom + 6)))
    # Maximum coverage keeps the colours of a few letters among thousands of grey pixels.
    coloured = page.quantize(128, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    coloured.save(out, "PNG", optimize=True)
    return ".png", out.getvalue(), Shown(data=out.getvalue(), format="png")


# --- 01: training --------------------------------------------------------------------------------


@styled
def learning_curve(history: Mapping[str, Tensor], reference: float | None = None) -> Figure:
    """Loss, BCE and KL per image (nats) over training steps, train and test.

    Args:
        reference: a test loss to compare with, drawn as a line.
    """
    figure, axes = _axes(1, 3, 3.2)
    for ax, key, name in zip(axes[0], ("loss", "bce", "kl"), ("loss", "BCE", "KL"), strict=True):
        ax.plot(history["step"], history[key], color=FAINT, label="train")
        ax.plot(history["watch_step"][1:], history[f"test_{key}"][1:], color=INK, label="test")
        ax.set(title=name, xlabel="training step", ylabel="nats per image")
        final = float(history[f"test_{key}"][-1])
        spread = 0.3 * final if key != "kl" else 0.6 * final
        ax.set_ylim(final - spread / 4 if key != "kl" else 0, final + spread)
        ax.annotate(
            f"{final:.1f}",
            (float(history["watch_step"][-1]), final),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
        ax.set_xlim(right=1.25 * float(history["watch_step"][-1]))
        ax.xaxis.set_major_locator(MaxNLocator(4))
    if reference is not None:
        label = f"paper's recipe: {reference}"
        over = 0, float(history["watch_step"][-1])  # not across the number at its end
        axes[0, 0].hlines(reference, *over, FORGOTTEN, linewidth=1.2, linestyle=":", label=label)
    axes[0, 0].legend(loc="upper right")
    return figure


@styled
def per_digit(
    values: Mapping[str, Tensor],
    ylabel: str,
    *,
    digits: Sequence[int] | None = None,
    forgotten: Iterable[int] = (),
    title: str = "",
    height: float = 3.2,
) -> Figure:
    """Means with 95 % bootstrap intervals, one group of points a digit.

    Args:
        values: name -> (classes, N); names of models take their colours.
        digits: the labels of the rows.
    """
    forgotten = set(forgotten)
    figure, axes = _axes(1, 1, height)
    ax = axes[0, 0]
    spare = iter((VIOLET, GREEN, ROSE))
    digits = range(len(next(iter(values.values())))) if digits is None else digits
    width = 0.18
    for k, (name, rows) in enumerate(values.items()):
        style = MODEL_STYLE.get(name) or {"color": next(spare), "marker": "osD"[k % 3]}
        x = np.arange(len(rows)) + width * (k - (len(values) - 1) / 2)
        bounds = np.array([interval(row) for row in rows])
        means = np.array([float(row.float().mean()) for row in rows])
        ax.errorbar(
            x, means, yerr=np.abs(bounds.T - means), fmt=style["marker"], color=style["color"],
            markersize=5, capsize=2, linewidth=1.2, label=name,
        )  # fmt: skip
    ax.set_xticks(range(len(digits)), [str(d) for d in digits])
    for tick, digit in zip(ax.get_xticklabels(), digits, strict=True):
        if digit in forgotten:
            tick.set(color=FORGOTTEN, fontweight="bold")
    ax.set(xlabel="digit", ylabel=ylabel, title=title)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


# --- 02: Fisher information ----------------------------------------------------------------------


@styled
def fisher_layers(fisher: Mapping[str, Tensor]) -> Figure:
    """Each layer's share of all information, and the distribution of its weights' entries."""
    names = [name.removesuffix(".weight") for name in fisher if name.endswith(".weight")]
    figure, axes = _axes(1, 2, 3.4, width_ratios=[1, 1.3])
    totals = np.array(
        [float(fisher[f"{n}.weight"].sum() + fisher[f"{n}.bias"].sum()) for n in names]
    )
    share, spread = axes[0]
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
def fisher_maps(fisher: Mapping[str, Tensor], pixels: int = 784) -> Figure:
    """Which pixels and which labels matter: sums over the first encoder and last decoder layer."""
    figure, axes = _axes(1, 3, 3.1)
    side = int(pixels**0.5)
    first = fisher["encoder.0.weight"].sum(0)
    last = fisher["decoder.4.weight"].sum(1)
    for ax, values, title in (
        (axes[0, 0], first[:pixels], "input pixels (encoder)"),
        (axes[0, 1], last, "output pixels (decoder)"),
    ):
        shown = ax.imshow(np.log10(values.view(side, side).numpy() + 1e-12), cmap="magma")
        floor = float(np.log10(np.quantile(values.numpy() + 1e-12, 0.35)))
        shown.set_clim(floor, float(np.log10(values.max())))
        ax.set(title=title, xlabel="column (pixel)", ylabel="row (pixel)")
        ax.grid(False)
        figure.colorbar(shown, ax=ax, label="log10 Fisher", shrink=0.8)
    labels = fisher["decoder.0.weight"][:, -10:].sum(0)
    axes[0, 2].bar(range(len(labels)), labels, color=digit_colors(len(labels)))
    axes[0, 2].set(title="labels (decoder)", xlabel="digit", ylabel="summed Fisher")
    axes[0, 2].set_xticks(range(len(labels)))
    axes[0, 2].grid(axis="x", visible=False)
    return figure


@styled
def fisher_units(fisher: Mapping[str, Tensor]) -> Figure:
    """Hidden units by the information of their incoming weights, largest first."""
    figure, axes = _axes(1, 1, 3.0)
    ax = axes[0, 0]
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
    """Relative error of the estimate after n samples, against an independent estimate."""
    figure, axes = _axes(1, 1, 3.0)
    ax = axes[0, 0]
    counts_, errors_ = np.array(counts), np.array(errors)
    ax.loglog(counts_, errors_, "o-", color=INK, label="measured")
    guide = errors_[0] * np.sqrt(counts_[0] / counts_)
    ax.loglog(counts_, guide, color=FAINT, linestyle="--", label="falling as 1 / √n")
    marks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    ax.set_yticks([m for m in marks if errors_.min() / 2 < m < 2 * errors_.max()])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(
        title="how the estimate settles",
        xlabel="samples n",
        ylabel="relative error",
    )
    ax.annotate(f"against an independent\nestimate of {total:,} samples", (0.02, 0.06),
                xycoords="axes fraction", fontsize=8)  # fmt: skip
    ax.legend()
    return figure


@styled
def per_sample_against_batch(
    fisher: Mapping[str, Tensor], mistaken: Mapping[str, Tensor], batch: int
) -> Figure:
    """The squared gradient of each sample against the square of a batch's mean gradient."""
    figure, axes = _axes(1, 2, 3.3)
    right = torch.cat([fisher[k].flatten() for k in fisher])
    wrong = torch.cat([mistaken[k].flatten() for k in fisher])
    some = (right > 1e-8) & (wrong > 1e-12)
    right, wrong = right[some].numpy(), wrong[some].numpy()
    left, hist = axes[0]
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
    hist.annotate(f"median {np.median(ratio):.0f} x", (np.log10(np.median(ratio)), 0.95),
                  xycoords=("data", "axes fraction"), color=FORGOTTEN, ha="right",
                  xytext=(-4, 0), textcoords="offset points")  # fmt: skip
    hist.set(
        title="how much smaller the mistake is",
        xlabel=f"log10 of the ratio (dashed: the batch size, {batch})",
        ylabel="weights",
    )
    return figure


# --- 03: forgetting ------------------------------------------------------------------------------


@styled
def forgetting_curves(histories: Mapping[str, Mapping[str, Tensor]], pixels: int = 784) -> Figure:
    """The three terms of Selective Amnesia over the steps, a line a forget set.

    The floor of the forget term is the cost of noise under flat grey, `pixels` ln 2 nats.

    Args:
        histories: name -> history of `forgetting.selective_amnesia`.
    """
    titles = {
        "forget": "forget (noise)",
        "replay": "replay (kept digits)",
        "ewc": "EWC (weights)",
    }
    figure, axes = _axes(1, 3, 3.1)
    lines = ("-", "--", ":", "-.")
    for ax, (key, title) in zip(axes[0], titles.items(), strict=True):
        for style, (name, history) in zip(lines, histories.items(), strict=False):
            ax.plot(history["step"], history[key], style, color=TERM_COLOR[key], label=name)
        ax.set(title=title, xlabel="forgetting step", ylabel="nats per image of the batch")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    floor = math.log(2) * pixels
    axes[0, 0].axhline(floor, color=FAINT, linewidth=1.2, zorder=0, label=f"floor: {floor:.0f}")
    axes[0, 0].set_ylim(0.95 * floor, 1.5 * floor)
    for ax in axes[0]:
        ax.legend(fontsize=8)
    return figure


# --- 04: evaluation ------------------------------------------------------------------------------


@styled
def confusions(tables: Mapping[str, Tensor], forgotten: Iterable[int] = ()) -> Figure:
    """What the referee takes the samples for: (classes, classes + 1), one panel a model."""
    forgotten = set(forgotten)
    figure, axes = _axes(1, len(tables), 4.8)
    for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
        classes = len(table)
        ax.imshow(table, cmap="Greys", vmin=0, vmax=1)
        ax.grid(False)
        ax.set_xticks(range(classes + 1), [*map(str, range(classes)), "none"])
        ax.set_yticks(range(classes))
        for i, j in ((table * 100).round() >= 1).nonzero().tolist():
            share = float(table[i, j])
            ax.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                    color="white" if share > 0.5 else INK)  # fmt: skip
        for digit in forgotten:
            ax.get_yticklabels()[digit].set(color=FORGOTTEN, fontweight="bold")
        ax.set_title(name, color=MODEL_STYLE.get(name, {}).get("color", INK))
        ax.set(xlabel="the referee takes them for, % (none: not a digit)", ylabel="label asked for")
    return figure


@styled
def frechet(distances: Mapping[str, Tensor], digits: Sequence[int]) -> Figure:
    """Frechet distances to real test images, one bar a digit and model.

    Args:
        distances: name -> (len(digits),).
    """
    figure, axes = _axes(1, 1, 3.0)
    ax = axes[0, 0]
    width = 0.8 / len(distances)
    for k, (name, values) in enumerate(distances.items()):
        color = MODEL_STYLE.get(name, {"color": FAINT})["color"]
        x = np.arange(len(digits)) + width * (k - (len(distances) - 1) / 2)
        ax.bar(x, values, width, color=color, label=name, hatch="" if k == 0 else "//",
               edgecolor="white")  # fmt: skip
    ax.set_xticks(range(len(digits)), [str(d) for d in digits])
    ax.set(xlabel="digit", ylabel="Frechet distance (squared)")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def sequence_curve(scores: Sequence[Scores], baseline: Scores) -> Figure:
    """Sequential forgetting: the referee's mean probability of the digits still known and of those
    forgotten, after each round."""
    rounds = range(len(scores) + 1)
    tables = [baseline.referee.mean(1), *(s.referee.mean(1) for s in scores)]
    kept = [float(t[k:].mean()) for k, t in enumerate(tables)]
    worst = [float(t[k:].min()) for k, t in enumerate(tables)]
    lost = [float(t[:k].mean()) if k else np.nan for k, t in enumerate(tables)]
    figure, axes = _axes(1, 1, 3.2)
    ax = axes[0, 0]
    ax.plot(rounds, kept, "o-", color=MODEL_STYLE["original"]["color"], label="kept digits, mean")
    ax.plot(rounds, worst, "v:", color=FAINT, label="kept digits, worst")
    ax.plot(rounds, lost, "s--", color=MODEL_STYLE["amnesiac"]["color"], label="forgotten, mean")
    ax.set_xticks(rounds, ["none", *(f"0-{k - 1}" if k > 1 else "0" for k in rounds if k)])
    ax.set(xlabel="digits forgotten so far", ylabel="referee's P(digit)", ylim=(-0.03, 1.03))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
