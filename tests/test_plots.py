import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from selective_amnesia import fisher, plots
from selective_amnesia.config import FisherConfig


def picture(figure):
    suffix, content, display = plots.render(figure)
    shown = display.data
    assert shown == content or base64.b64encode(content).decode() in shown
    image = Image.open(io.BytesIO(content))
    image.load()
    assert suffix == f".{image.format.lower()}"
    return image


def test_tile_puts_each_image_in_its_place():
    images = torch.zeros(2, 3, 16)
    images[1, 2] = 0.5
    board = plots.tile(images, gap=1)
    assert board.shape == (9, 14)
    assert (board[5:9, 10:14] == 0.5).all()
    assert (board[4] == 1).all()
    assert board.sum() == 16 * 0.5 + 14 + 2 * 9 - 2
    assert np.array_equal(plots.tile((images * 255).round().byte(), 1).round(1), board)


def test_models_are_apart_in_greyscale_and_in_line_and_marker():
    from matplotlib.colors import to_rgb

    luminance = sorted(
        np.dot(to_rgb(style["color"]), (0.2126, 0.7152, 0.0722))
        for style in plots.MODEL_STYLE.values()
    )
    assert min(np.diff(luminance)) > 0.15
    for key in ("linestyle", "marker", "color"):
        assert len({style[key] for style in plots.MODEL_STYLE.values()}) == 3


def test_every_figure_is_drawn_at_colabs_width(lab):
    cvae, amnesiac, diagonal = lab.cvae(), lab.amnesiac({0}), lab.fisher()
    before, after = lab.scores(cvae), lab.scores(amnesiac)
    mistaken = fisher.squared_batch_mean(cvae, FisherConfig(samples=100, batch_size=50), 0)
    images = {"original": lab.samples(cvae, 4), "amnesiac": lab.samples(amnesiac, 4)}
    figures = {
        "before_after": plots.before_after(images, {0}),
        "learning_curve": plots.learning_curve(cvae.history, reference=96.9),
        "per_digit": plots.per_digit({"original": before.judge, "control": after.judge}, "P"),
        "fisher_layers": plots.fisher_layers(diagonal),
        "fisher_maps": plots.fisher_maps(diagonal),
        "fisher_units": plots.fisher_units(diagonal),
        "fisher_convergence": plots.fisher_convergence([10, 100], [0.5, 0.2], 1000),
        "per_sample_against_batch": plots.per_sample_against_batch(diagonal, mistaken, 50),
        "forgetting_curves": plots.forgetting_curves({"forget {0}": amnesiac.history}),
        "confusions": plots.confusions({"original": before.confusion}, {0}),
        "frechet": plots.frechet({"original": before.frechet}, range(10)),
        "sequence_curve": plots.sequence_curve([after], before),
    }
    for name, figure in figures.items():
        image = picture(figure)
        assert image.width == 900, name
        assert len(image.convert("L").getcolors()) > 10, name
        for ax in figure.axes:
            if ax.lines or ax.patches or ax.collections:
                assert ax.get_xlabel() or ax.get_ylabel(), name


def test_gif_has_a_frame_for_every_caption(lab):
    frames = lab.cvae().history["frames"]
    image = picture(plots.gif(frames, [f"step {k}" for k in range(len(frames))]))
    assert image.n_frames == len(frames)
    with pytest.raises(ValueError, match="argument"):
        plots.gif(frames, ["too few"])
