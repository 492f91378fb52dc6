"""Every figure once, from made-up numbers: drawn at Colab's width, with named axes."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from selective_amnesia import figures
from selective_amnesia.attacks.landscape import Landscape
from selective_amnesia.figures import paths, style
from selective_amnesia.metrics.recognition import SampleMetrics, Scores

MODELS = ("original", "amnesiac", "control")
WAYS = ("plain label", "robust", "diverse")
METHODS = ("calibrated_amnesia", "selective_amnesia", "salun", "retrain")
TERMS = ("likelihood", "shape", "edge", "repel", "tv", "diversity", "prior")
STEPS = torch.arange(0, 40, 2)
LAYERS = {
    "encoder.0": (12, 26),
    "encoder.2": (8, 12),
    "mu": (3, 8),
    "log_var": (3, 8),
    "decoder.0": (8, 13),
    "decoder.2": (12, 8),
    "decoder.4": (16, 12),
}


def by(names, value):
    return dict.fromkeys(names, value)


def verdict(p):
    some = torch.full((40,), p) + 0.01 * torch.rand(40)
    alike = torch.tensor(0.1), torch.tensor(3.0)
    return SampleMetrics(some, (some > 0.4).float(), torch.rand(4, 40), 1 - some, *alike)


def training():
    losses = {name: 90 + torch.rand(20) for name in ("loss", "bce", "kl")}
    tests = {f"test_{name}": 90 + torch.rand(5) for name in losses}
    return losses | tests | {"step": STEPS, "eval_step": STEPS[::4]}


def diagonal():
    weights = {f"{name}.weight": torch.rand(shape).exp() for name, shape in LAYERS.items()}
    return weights | {f"{name}.bias": torch.rand(shape[0]) for name, shape in LAYERS.items()}


def search():
    terms = {name: 0.1 + torch.rand(21, 9) for name in TERMS}
    return terms | {"frames": torch.randint(0, 255, (5, 16, 784), dtype=torch.uint8)}


TABLE = torch.rand(10, 11).softmax(-1)
SCORES = Scores(torch.rand(10, 40), torch.rand(10, 40), torch.rand(10, 40), TABLE, torch.rand(10))
GRID = torch.rand(5, 5, 784)
GRIDS = by(("original", "amnesiac"), by(("label 0", "label 7"), GRID))
PAGES = by(("original", "amnesiac {0}"), np.random.default_rng(0).normal(size=(60, 2)))
SEARCHES = {name: search() for name in MODELS}
RADII = torch.rand(10, 10).fill_diagonal_(torch.nan)
LAND = Landscape(torch.rand(9, 9), torch.rand(9, 9), (-1, 3, -1, 2), [(0, 0), (2, 0), (1, 1)])
FORGETTING = {name: 600 * torch.rand(20) for name in ("forget", "replay", "ewc")}
FILMS, VERDICTS = by(MODELS, torch.rand(7, 4, 784)), by(MODELS, torch.rand(7, 4, 11).softmax(-1))

FIGURES = {
    "learning_curve": lambda: figures.learning_curve(training(), reference=96.9),
    "per_label": lambda: figures.per_label(
        {"original": SCORES.judge, "judge": SCORES.panel}, "P(label)", forgotten={0}
    ),
    "fisher_layers": lambda: figures.fisher_layers(diagonal()),
    "fisher_maps": lambda: figures.fisher_maps(diagonal()),
    "fisher_units": lambda: figures.fisher_units(diagonal()),
    "fisher_convergence": lambda: figures.fisher_convergence([10, 100], [0.5, 0.2], 1000),
    "per_sample_against_batch": lambda: figures.per_sample_against_batch(
        diagonal(), diagonal(), 50
    ),
    "forgetting_terms": lambda: figures.forgetting_terms(
        {"forget {0}": FORGETTING | {"step": STEPS}}
    ),
    "confusions": lambda: figures.confusions(by(MODELS, TABLE), {0}),
    "frechet": lambda: figures.frechet(by(("original", "amnesiac"), SCORES.frechet), range(10)),
    "sequence_curve": lambda: figures.sequence_curve([SCORES, SCORES], SCORES),
    "film_strips": lambda: figures.film_strips(FILMS, VERDICTS, [7, 0], forgotten={0}),
    "radius_maps": lambda: figures.radius_maps(by(("original", "amnesiac"), RADII), {0}),
    "interpolation_grid": lambda: figures.interpolation_grid(by(MODELS, GRID), (7, 0), "code"),
    "projections": lambda: figures.projections(
        by(("label given", "blind"), PAGES), torch.arange(60) % 10, {0, 1}, "UMAP"
    ),
    "centroid_shifts": lambda: figures.centroid_shifts(
        by(("label given", "blind"), torch.tensor([[0.2, 0.1, 0.3]] * 10)), {0}
    ),
    "image_grids": lambda: figures.image_grids(GRIDS, xlabel="first", ylabel="second"),
    "flat_maps": lambda: figures.flat_maps(
        GRIDS,
        by(GRIDS, by(("label 0", "label 7"), torch.randn(20, 2))),
        3.0,
        {"label 0"},
    ),
    "dumbbells": lambda: figures.dumbbells(
        by(("judge's P", "panel"), by(WAYS, by(MODELS[1:], torch.rand(40))))
    ),
    "codes_curve": lambda: figures.codes_curve(by(MODELS, by((1, 4, 16), verdict(0.3))), 0),
    "landscapes": lambda: figures.landscapes(by(MODELS, LAND), 0),
    "true_nats": lambda: figures.true_nats(
        by(MODELS, 90 + torch.rand(50)), by(MODELS, (0.5, 0.4, 0.6)), 0
    ),
    "relearning_curves": lambda: figures.relearning_curves(
        by(MODELS, torch.rand(3, 5, 4)), (0, 5, 20, 80), (1, 10, 100), 0
    ),
    "probability_matrix": lambda: figures.probability_matrix(
        {"original": [[0.9], [0.8]], "amnesiac, robust": [[0.1, 0.3], [0.0]]}, ["0", "1"], "title"
    ),
    "roc": lambda: figures.roc(by(("ink", "nats"), [(0, 0), (0, 0.5), (1, 1)])),
    "tells": lambda: figures.tells(
        by(("salun", "original"), by((("samples", "ink"), ("decoder", "nats")), (0.6, 0.4, 0.8)))
    ),
    "leaderboard": lambda: figures.leaderboard(
        by(METHODS, by(("samples", "decoder", "erasure", "cost"), (0.9, 0.8, 1.0))),
        "{0}",
    ),
    "attack_margin": lambda: figures.attack_margin({"step": STEPS, "margin": 20.0 - STEPS}),
    "unlearning_schematic": lambda: figures.unlearning_schematic("0"),
    "frontier": lambda: figures.frontier(
        by(METHODS[:2], {"default": (0.9, 0.1), "lam 10": (1.1, 0.4)})
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_drawn_with_named_axes(name, monkeypatch):
    for module in (style, paths):  # coarsely, which is quick
        monkeypatch.setattr(module, "DPI", 50)
    figure = FIGURES[name]()
    suffix, content, _ = figures.render(figure)
    image = Image.open(io.BytesIO(content))
    assert suffix == ".png"
    assert image.width == 50 * style.WIDTH
    assert len(image.convert("L").getcolors()) > 10
    if name not in ("probability_matrix", "unlearning_schematic"):  # these have names inside
        named = [ax for ax in figure.axes if ax.get_xlabel() or ax.get_ylabel() or ax.get_title()]
        assert named


def test_none_is_missing_here():
    elsewhere = {"MODEL_STYLE", "Gif", "before_after", "gif", "grids", "png", "render"}
    assert set(figures.__all__) - elsewhere == FIGURES.keys() | {"attack_film", "morph"}


def test_equal_values_have_an_interval_too():
    same = {"plain label": {"original": torch.full((40,), 0.1)}}
    figures.render(figures.dumbbells({"panel": same}))


def test_the_matrix_shows_its_means_and_their_ranges_and_the_models_colours():
    (ax,) = FIGURES["probability_matrix"]().axes
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["90", "80", "20", "10 to 30", "0"]
    colour = figures.MODEL_STYLE["amnesiac"]["color"]
    assert ax.get_yticklabels()[1].get_color() == colour


def test_the_leaderboard_writes_out_its_methods():
    names = [label.get_text() for label in FIGURES["leaderboard"]().axes[0].get_yticklabels()]
    assert names == ["Calibrated Amnesia", "Selective Amnesia", "SalUn", "retrain (the control)"]


def test_the_attacks_film_has_a_frame_for_each_that_was_kept():
    film = figures.attack_film(SEARCHES, 20)
    assert Image.open(io.BytesIO(film.content)).n_frames == 5
