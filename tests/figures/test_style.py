import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from selective_amnesia import figures
from selective_amnesia.figures.style import INK, MODEL_STYLE, color_of, on_cpu, style_of


def test_models_are_apart_in_greyscale_and_in_line_and_marker():
    luminance = sorted(
        np.dot(to_rgb(style["color"]), (0.2126, 0.7152, 0.0722)) for style in MODEL_STYLE.values()
    )
    assert min(np.diff(luminance)) > 0.15
    for key in ("linestyle", "marker", "color"):
        assert len({style[key] for style in MODEL_STYLE.values()}) == 3


def test_a_name_takes_the_style_of_the_model_that_it_begins_with():
    assert style_of("amnesiac {0}, attacked") == MODEL_STYLE["amnesiac"]
    assert color_of("control: plain label") == MODEL_STYLE["control"]["color"]
    assert color_of("judge") == INK
    style_of("original")["color"] = "red"  # the caller's own copy
    assert color_of("original") != "red"


def test_matplotlibs_own_settings_stay():
    before = dict(matplotlib.rcParams)
    figures.render(figures.grids({"original": torch.rand(1, 1, 16)}))
    assert dict(matplotlib.rcParams) == before


def test_tensors_are_drawn_from_wherever_they_are_and_whatever_they_learn():
    learning = torch.ones(2, requires_grad=True)
    given = {"a": learning, "b": [learning, (learning, "word")]}
    found = on_cpu(given)
    tensors = [found["a"], found["b"][0], found["b"][1][0]]
    assert not any(tensor.requires_grad for tensor in tensors)
    assert found["b"][1][1] == "word"
    figures.grids({"original": torch.rand(1, 2, 16, requires_grad=True)})


def test_nothing_to_draw_is_said_in_a_sentence():
    with pytest.raises(ValueError, match="grids has nothing to draw: give at least one"):
        figures.grids({})
    with pytest.raises(ValueError, match="frechet has nothing to draw"):
        figures.frechet(distances={}, labels=[0])


def test_other_errors_are_what_they_are():
    with pytest.raises(KeyError, match="eval_step"):
        figures.learning_curve({"step": torch.arange(3)})
