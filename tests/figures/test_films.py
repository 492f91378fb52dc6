import io

import torch
from PIL import Image

from selective_amnesia import figures

MODELS = ("original", "amnesiac", "control")
FILMS = {name: torch.rand(7, 4, 784) for name in MODELS}
VERDICTS = {name: torch.rand(7, 4, 11).softmax(-1) for name in MODELS}


def test_curves_are_those_of_the_labels_passed_and_of_no_digit():
    figure = figures.film_strips(FILMS, VERDICTS, [7, 0, 9, 7])
    names = [ax.get_ylabel() for ax in figure.axes if ax.lines]
    assert names == ["P(7)", "P(0)", "P(9)", "P(none)"]


def test_the_films_are_in_order_and_their_stations_named():
    figure = figures.film_strips(FILMS, VERDICTS, [7, 0], forgotten={0}, rows=2)
    strips = figure.axes[:3]
    assert [ax.get_yticklabels()[0].get_text() for ax in strips] == list(MODELS)
    said = [text.get_text() for text in strips[0].texts]
    assert said == ["label 7", "label 0 (forgotten)"]


def test_a_morph_has_a_frame_a_step_and_a_column_a_model():
    morph = figures.morph(FILMS, [str(k) for k in range(7)])
    image = Image.open(io.BytesIO(morph.content))
    assert image.n_frames == 7
    assert image.width == 3 * (3 * 30 - 2) + 12
