import io

import pytest
import torch
from PIL import Image

from selective_amnesia import interpolation, plots, plots_paths


@pytest.fixture(scope="module")
def screening(lab):
    c = interpolation.label_path(7, 0, torch.linspace(0, 1, 7))[:, None]
    return interpolation.screening(lab.trio({0}), lab.referee(), lab.codes(4), c)


def test_every_figure_is_drawn_at_colabs_width(lab, screening):
    films, verdicts = screening
    table = torch.rand(10, 10).fill_diagonal_(torch.nan)
    panels = {name: images[:, :3] for name, images in films.items()}
    figures = [
        plots_paths.film_strips(films, verdicts, [7, 0], forgotten={0}, title="7 to 0"),
        plots_paths.film_strips(films, verdicts, [7, 0, 9, 7], rows=2),
        plots_paths.radius_maps({"original": table, "amnesiac": table}, {0}),
        plots_paths.weave(panels, (7, 0), "code"),
    ]
    for figure in figures:
        _, content, _ = plots.render(figure)
        image = Image.open(io.BytesIO(content))
        assert image.width == 900
        assert len(image.convert("L").getcolors()) > 10


def test_curves_are_those_of_the_digits_passed_and_of_no_digit(screening):
    figure = plots_paths.film_strips(*screening, [7, 0, 9, 7])
    names = [ax.get_ylabel() for ax in figure.axes if ax.lines]
    assert names == ["P(7)", "P(0)", "P(9)", "P(no digit)"]


def test_morph_has_a_frame_a_step_and_a_column_a_model(screening):
    films, _ = screening
    _, content, _ = plots.render(plots_paths.morph(films, [str(k) for k in range(7)]))
    image = Image.open(io.BytesIO(content))
    assert image.n_frames == 7
    assert image.width == 3 * 30 * 2 - 4 + 12
