import io

import pytest
import torch
from PIL import Image

from selective_amnesia import plots, plots_attack
from selective_amnesia.evaluation import Examined
from selective_amnesia.recovery import Landscape

MODELS = ("original", "amnesiac", "control")


def verdict(p):
    some = torch.full((40,), p) + 0.01 * torch.rand(40)
    return Examined(some, some / 2, some > 0.5, 1 - some, torch.tensor(0.1), torch.tensor(3.0))


def history(terms, steps=20, starts=9):
    values = {name: torch.rand(steps + 1, starts) for name in terms}
    return values | {"frames": torch.randint(0, 255, (5, 16, 784), dtype=torch.uint8)}


HISTORIES = {
    name: history(("likelihood", "shape", "edge", "repel", "tv", "diversity")) for name in MODELS
}
LAND = Landscape(torch.rand(9, 9), torch.rand(9, 9), (-1, 3, -1, 2), [(0, 0), (2, 0), (1, 1)])
FIGURES = {
    "terms": lambda: plots_attack.terms(HISTORIES, dict.fromkeys(MODELS, 2)),
    "confidence": lambda: plots_attack.confidence(
        {w: {m: verdict(0.4) for m in MODELS} for w in ("plain label", "A", "B")}, 0, "title"
    ),
    "bars": lambda: plots_attack.bars(
        {w: dict.fromkeys(MODELS, 0.2) for w in "AB"}, "distance", line=("real", 0.3)
    ),
    "codes_curve": lambda: plots_attack.codes_curve(
        {m: {k: verdict(0.3) for k in (1, 4, 16)} for m in MODELS}, 0
    ),
    "landscapes": lambda: plots_attack.landscapes(dict.fromkeys(MODELS, LAND), 0),
    "descriptions": lambda: plots_attack.descriptions(
        {m: 90 + torch.rand(50) for m in MODELS}, dict.fromkeys(MODELS, (0.5, 0.4, 0.6)), 0
    ),
    "relearning_curves": lambda: plots_attack.relearning_curves(
        {m: torch.rand(3, 5, 4) for m in MODELS}, (0, 5, 20, 80), (1, 10, 100), 0
    ),
    "matrix": lambda: plots_attack.matrix(
        {"original": [0.9, 0.8], "amnesiac, recovery A": [0.1, 0.0]}, ["0", "1"], "title"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_named_axes(name):
    figure = FIGURES[name]()
    suffix, content, _ = plots.render(figure)
    assert suffix == ".png"
    assert Image.open(io.BytesIO(content)).width == 900
    named = [ax for ax in figure.axes if ax.get_xlabel() or ax.get_ylabel() or ax.get_title()]
    assert named or name == "matrix"


def test_the_matrix_shows_its_numbers_and_the_models_colours():
    figure = FIGURES["matrix"]()
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["90", "80", "10", "0"]
    assert ax.get_yticklabels()[1].get_color() == plots.MODEL_STYLE["amnesiac"]["color"]


def test_the_film_has_a_frame_for_each_that_was_kept():
    film = plots_attack.attack_film(HISTORIES, 20)
    assert Image.open(io.BytesIO(film.content)).n_frames == 5
