import io

import numpy as np
import torch
from PIL import Image

from selective_amnesia import plots, plots_latent


def test_every_figure_is_drawn_at_colabs_width():
    rng = np.random.default_rng(0)
    labels = torch.arange(60) % 10
    views = {
        view: {name: rng.normal(size=(60, 2)) for name in ("original", "amnesiac {0}")}
        for view in ("label given", "blind")
    }
    shifts = torch.tensor([[0.2, 0.1, 0.3]] * 10)
    images = torch.rand(5, 5, 784)
    both = {"original": images, "amnesiac": images}
    flat = {name: {"label 0": images, "label 7": images} for name in both}
    points = {name: dict.fromkeys(("label 0", "label 7"), torch.randn(20, 2)) for name in both}
    figures = [
        plots_latent.pages(views, labels, {0, 1}, "UMAP"),
        plots_latent.centroid_shifts({"label given": shifts, "blind": shifts}, {0}),
        plots_latent.sheets({"label 0": both, "label 7": both}, xlabel="first", ylabel="second"),
        plots_latent.flat_maps(flat, points, 3.0, {"label 0"}),
    ]
    for figure in figures:
        _, content, _ = plots.render(figure)
        image = Image.open(io.BytesIO(content))
        assert image.width == 900
        for ax in figure.axes:
            assert ax.get_title(loc="left") or ax.get_xlabel() or ax.get_ylabel()
