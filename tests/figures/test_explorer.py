import io

import ipywidgets
import pytest
import torch
from PIL import Image

from selective_amnesia.figures.explorer import Explorer, in_words, picture_with_bars
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.referees.cnn import RefereeCNN

TEN = [str(k) for k in range(10)]


def model(z_dim=8):
    """Untrained, with weights large enough for its images to differ in every code."""
    cvae = OneHotCVAE(z_dim=z_dim, hidden=(32, 16)).requires_grad_(False)
    for weight in cvae.parameters():
        weight *= 3
    return cvae


@pytest.fixture
def trio():
    torch.manual_seed(0)
    return {name: model() for name in ("original", "amnesiac", "control")}


@pytest.fixture
def classifier():
    torch.manual_seed(1)
    return RefereeCNN(width=2, features=4).eval().requires_grad_(False)


@pytest.fixture
def explorer(trio, classifier):
    torch.manual_seed(2)
    directions = torch.linalg.qr(torch.randn(8, 3)).Q.T
    return Explorer(trio, classifier, directions, 7, 0)


def pictures(explorer):
    return [widget.value for widget in explorer.pictures.values()]


def changed(explorer, before):
    return [a != b for a, b in zip(pictures(explorer), before, strict=True)]


def test_it_shows_a_picture_and_a_verdict_for_every_model(explorer):
    assert list(explorer.pictures) == ["original", "amnesiac", "control"]
    for name, widget in explorer.pictures.items():
        image = Image.open(io.BytesIO(widget.value))
        image.load()
        assert image.format == "PNG"
        assert explorer.verdicts[name].value.startswith("CNN: ")


def test_every_slider_and_the_button_change_every_picture(explorer):
    explorer.mix.value = 0.5
    for widget in explorer.sliders:
        before = pictures(explorer)
        widget.value = {explorer.start: 3, explorer.end: 5, explorer.mix: 0.75}.get(widget, 1.5)
        assert all(changed(explorer, before)), widget.description
    before = pictures(explorer)
    explorer.button.click()
    assert all(changed(explorer, before))
    before = pictures(explorer)
    explorer.play.value = 30
    assert explorer.mix.value == 0.3
    assert all(changed(explorer, before))


def test_where_nothing_is_mixed_in_the_other_end_does_not_matter(explorer):
    explorer.mix.value = 0
    before = pictures(explorer)
    explorer.end.value = 5
    assert not any(changed(explorer, before))


def test_the_sliders_stand_at_the_codes_coordinates(explorer):
    first = explorer.z
    explorer.new_z()
    assert not torch.allclose(explorer.z, first)
    along = torch.tensor([slider.value for slider in explorer.along])
    assert torch.allclose(explorer.directions @ explorer.z, along, atol=1e-5)
    explorer.along[0].value = -2.0
    assert float(explorer.directions[0] @ explorer.z) == pytest.approx(-2, abs=1e-5)


def test_equal_labels_are_a_sentence_and_leave_the_pictures(explorer):
    before = pictures(explorer)
    explorer.end.value = explorer.start.value
    assert "choose two different" in explorer.message.value
    assert not any(changed(explorer, before))
    explorer.end.value = 0
    assert explorer.message.value == ""


def test_models_of_another_size_and_bad_labels_are_refused(trio, classifier):
    directions = torch.eye(8)[:2]
    with pytest.raises(ValueError, match=r"codes differ in size .*flat 2"):
        Explorer(trio | {"flat": model(2)}, classifier, directions, 7, 0)
    with pytest.raises(ValueError, match=r"differ in size .*the directions 3"):
        Explorer(trio, classifier, torch.eye(3), 7, 0)
    with pytest.raises(ValueError, match="both ends of the path are 7"):
        Explorer(trio, classifier, directions, 7, 7)
    with pytest.raises(ValueError, match="12 is not a label"):
        Explorer(trio, classifier, directions, 7, 12)
    with pytest.raises(ValueError, match="no models to explore"):
        Explorer({}, classifier, directions, 7, 0)


def test_the_still_film_leaves_when_a_front_end_has_drawn_the_sliders(explorer, monkeypatch):
    shown, updates = [], []

    class Handle:
        def update(self, content, raw=False):
            updates.append(content)

    def display(thing, display_id=None):
        shown.append(thing)
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    explorer.show()
    assert isinstance(shown[0], ipywidgets.VBox)
    film = Image.open(io.BytesIO(shown[1].data))
    assert film.width > 900
    assert "original and amnesiac and control" in shown[1].metadata["alt"]
    assert updates == []
    explorer.box.set_state({"_view_count": 1})
    explorer.box.set_state({"_view_count": 2})
    assert updates == [{"text/plain": ""}]


def test_a_picture_with_bars_holds_the_picture_and_the_bars():
    p = torch.zeros(11)
    p[10] = 1
    image = Image.open(io.BytesIO(picture_with_bars(torch.ones(784), p, TEN)))
    assert image.size == (196, 260)
    assert image.getpixel((98, 98)) == 255
    last, first = image.getpixel((187, 230)), image.getpixel((9, 230))
    assert last < 60 < 250 < first
    assert in_words(p, TEN) == "none of these (100%)"
    assert in_words(torch.eye(11)[3] * 0.9, TEN) == "a 3 (90%)"
    assert in_words(torch.eye(3)[1], ["dress", "ankle boot"]) == "an ankle boot (100%)"


def test_classes_are_called_by_their_names(classifier):
    names = [f"kind {k}" for k in range(9)] + ["ankle boot"]
    explorer = Explorer({"original": model()}, classifier, torch.eye(8)[:2], 9, 0, names=names)
    assert explorer.start.label == "ankle boot"
    assert explorer.start.value == 9
    said = explorer.verdicts["original"].value
    assert any(name in said for name in [*names, "none of these"])


@pytest.mark.parametrize("classes", [26, 47])
def test_bars_of_many_classes_have_a_place_each(classes):
    p = torch.zeros(classes + 1)
    p[classes - 1] = 1
    names = ["a long name"] * classes
    image = Image.open(io.BytesIO(picture_with_bars(torch.ones(784), p, names)))
    row = [image.getpixel((x, 230)) for x in range(image.width)]
    dark = [x for x, grey in enumerate(row) if grey < 60]
    pitch = image.width / (classes + 1)
    assert dark
    assert all((classes - 1) * pitch <= x <= classes * pitch for x in dark)
