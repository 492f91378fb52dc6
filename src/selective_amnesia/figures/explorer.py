"""The explorer: sliders for the condition and the code, several models side by side.

A slider's event becomes a new picture in one batch: every model decodes the same code under the
same mixed label, a classifier looks at all the pictures at once, and PIL writes each as a small
PNG into an image widget. (To redraw a matplotlib figure takes ten times the 50 ms that a hand
on a slider forgives.) Nothing of a figure library and no file is involved.

The code is z = rest + sum_k s_k d_k: the sliders s_k are its coordinates along the main directions
d_k, and `rest`, what is left of it beside them, changes with the button "new z".
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import ipywidgets as ipw
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from ..latent.interpolation import decode_path, label_path
from ..models.classifiers import probabilities, side_of
from ..models.cvae import OneHotCVAE
from .style import named, with_article

SIDE = 196  # of a picture, in pixels
BARS = 64  # height of its bars below it, in pixels
REACH = 3.0  # of the direction sliders, in standard deviations of the prior
WIDE = "420px"  # a slider
OPENS_AT = 0.55  # of the way: where there is something to see
FINE = 2  # the picture of the interface has so many pixels for one
INK, PALE = 43, 184


class Explorer:
    """Sliders for two labels, their mix and the main directions of z; a picture for every model.

    Args:
        models: name -> model, all with codes of one size.
        classifier: says what it takes each picture for.
        directions: orthonormal directions of z (M, D), a slider each
            (`latent.geometry.main_directions`).
        start, end: the labels to begin with.
        seed: of the codes that "new z" draws.
        names: of the classes.

    Raises:
        ValueError: there is no model, a model or the directions have another z_dim, or the labels
            are bad.
    """

    def __init__(
        self,
        models: Mapping[str, OneHotCVAE],
        classifier: nn.Module,
        directions: Tensor,
        start: int,
        end: int,
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> None:
        if not models:
            raise ValueError("there are no models to explore: give at least one")
        sizes = {name: model.z_dim for name, model in models.items()}
        sizes["the directions"] = directions.shape[1]
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(f"codes differ in size ({listed}): give models of one z_dim")
        self.models, self.classifier = dict(models), classifier
        self.classes = next(iter(self.models.values())).classes
        label_path(start, end, 0.0, self.classes)  # refuses bad labels
        self.names = named(range(self.classes), names)
        self.directions = directions.detach().cpu()
        self.generator = torch.Generator().manual_seed(seed)
        self._make_widgets(start, end)
        for widget in self.sliders:
            widget.observe(self._changed, "value")
        self.button.on_click(lambda _button: self.new_z())
        self.play.observe(self._played, "value")
        self.new_z()

    def _make_widgets(self, start: int, end: int) -> None:
        """The sliders above one another, below them a column a model, and a line for messages."""
        self.start = _label_slider("from", self.names, start)
        self.end = _label_slider("to", self.names, end)
        self.mix = _slider("mix", 0.0, 1.0, OPENS_AT)
        count = len(self.directions)
        self.along = [_slider(f"direction {k + 1}", -REACH, REACH) for k in range(count)]
        self.sliders = [self.start, self.end, self.mix, *self.along]
        self.button = ipw.Button(description="new z")
        self.play = ipw.Play(min=0, max=100, step=2, interval=150, value=round(100 * OPENS_AT))
        self.message = ipw.HTML()
        self.pictures = {name: ipw.Image(format="png") for name in self.models}
        self.verdicts = {name: ipw.HTML() for name in self.models}
        columns = [
            ipw.VBox([ipw.HTML(f"<b>{name}</b>"), self.pictures[name], self.verdicts[name]])
            for name in self.models
        ]
        buttons = ipw.HBox([self.button, self.play, ipw.Label("plays the mix")])
        self.box = ipw.VBox(
            [*self.sliders, buttons, ipw.HBox(columns), self.message], _view_count=0
        )

    @property
    def z(self) -> Tensor:
        """The code (D,) that is shown."""
        return self.rest + torch.tensor([s.value for s in self.along]) @ self.directions

    def new_z(self) -> None:
        """Draw a code from N(0, I) and set the direction sliders to its coordinates."""
        z = torch.randn(self.directions.shape[1], generator=self.generator)
        place = (self.directions @ z).clamp(-REACH, REACH)
        self.rest = z - (self.directions @ z) @ self.directions
        self.moving = True  # one picture for all the sliders, not one for each
        for slider, value in zip(self.along, place.tolist(), strict=True):
            slider.value = round(value, 2)
        self.moving = False
        self.draw()

    def _played(self, _change: object) -> None:
        self.mix.value = self.play.value / 100

    def _changed(self, _change: object) -> None:
        if not self.moving:
            self.draw()

    def draw(self) -> None:
        """Decode, and ask the classifier, with the sliders as they stand."""
        try:
            c = label_path(self.start.value, self.end.value, self.mix.value, self.classes)
        except ValueError as error:
            self.message.value = str(error)
            return
        self.message.value = ""
        with _one_thread():
            z, models = self.z[None], self.models.values()
            images = torch.cat([decode_path(model, z, c) for model in models])
            verdicts = probabilities(self.classifier, images).cpu()
        self.shown = dict(zip(self.models, zip(images.cpu(), verdicts, strict=True), strict=True))
        for name, (image, p) in self.shown.items():
            self.pictures[name].value = picture_with_bars(image, p, self.names)
            self.verdicts[name].value = f"CNN: {in_words(p, self.names)}"

    def still(self) -> bytes:
        """The interface as it stands, as PNG: the sliders, and every model's picture."""
        side, left, top, gap = SIDE * FINE, 400 * FINE, 24 * FINE, 6 * FINE
        font, size = _font(13 * FINE), (left + len(self.models) * (side + gap), 300 * FINE)
        page = Image.new("L", size, 255)
        draw = ImageDraw.Draw(page)
        for k, slider in enumerate(self.sliders):
            y, (place, value) = top + 40 * FINE * (k + 0.5), _stands(slider)
            track = 110 * FINE, 300 * FINE
            x = track[0] + place * (track[1] - track[0])
            draw.text((100 * FINE, y), slider.description, INK, font, anchor="rm")
            draw.line((track[0], y, track[1], y), PALE, 4 * FINE)
            draw.circle((x, y), 8 * FINE, INK)
            draw.text((315 * FINE, y), value, INK, font, anchor="lm")
        for k, (name, (image, p)) in enumerate(self.shown.items()):
            x = left + k * (side + gap)
            draw.text((x, top / 2), name, INK, font, anchor="lm")
            page.paste(_page(image, p, self.names, FINE), (x, top))
            draw.text((x, 292 * FINE), self.verdicts[name].value, INK, font, anchor="lm")
        out = io.BytesIO()
        page.quantize(64).save(out, "PNG", optimize=True)
        return out.getvalue()

    def show(self) -> None:
        """Display the explorer, and below it a picture of it that leaves once a front end has drawn
        the sliders: where none does, the picture is what a reader sees."""
        from IPython.display import Image as Shown
        from IPython.display import display

        display(self.box)
        words = {"alt": f"The explorer: its sliders, and what {' and '.join(self.models)} show."}
        still = display(
            Shown(data=self.still(), format="png", width=900, metadata=words), display_id=True
        )

        def drawn(_change: object) -> None:
            still.update({"text/plain": ""}, raw=True)
            self.box.unobserve(drawn, "_view_count")

        self.box.observe(drawn, "_view_count")


def picture_with_bars(image: Tensor, probability: Tensor, names: Sequence[str]) -> bytes:
    """A picture (P,) with the classifier's probabilities (classes + 1,) as bars below it, as PNG.
    Where there is no room for the names of all classes, the highest bar alone is named."""
    out = io.BytesIO()
    _page(image, probability, names).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _page(image: Tensor, probability: Tensor, names: Sequence[str], fine: int = 1) -> Image.Image:
    """That picture, `fine` pixels for one."""
    page = Image.new("L", (SIDE * fine, (SIDE + BARS) * fine), 255)
    page.paste(_picture(image, SIDE * fine), (0, 0))
    draw, font = ImageDraw.Draw(page), _font(11 * fine)
    foot = page.height - 15 * fine
    pitch = page.width / len(probability)
    thin = min(2 * fine, pitch / 6)  # half of what is left free between two bars
    best, room = int(probability.argmax()), max(map(font.getlength, names)) < pitch
    for k, (p, name) in enumerate(zip(probability.tolist(), [*names, "?"], strict=True)):
        left, right = k * pitch + thin, (k + 1) * pitch - thin - min(fine, pitch / 6)
        height = round(p * (BARS - 22)) * fine
        draw.line((left, foot, right, foot), PALE, fine)
        if height:
            draw.rectangle((left, foot - height, right, foot), INK)
        if room or k == best:
            half = font.getlength(name) / 2
            middle = min(max(k * pitch + pitch / 2, half), page.width - half)
            draw.text((middle, foot + 2 * fine), name, INK, font, anchor="ma")
    return page


def in_words(probability: Tensor, names: Sequence[str]) -> str:
    """The classifier's answer in words, from its probabilities (classes + 1,)."""
    best = int(probability.argmax())
    said = "none of these" if best == len(names) else with_article(names[best])
    return f"{said} ({float(probability[best]):.0%})"


def _picture(image: Tensor, size: int) -> Image.Image:
    side = side_of(image)
    pixels = (image.view(side, side) * 255).byte().numpy()
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Loaded once: it takes longer than a picture."""
    return ImageFont.load_default(size)


def _stands(slider: ipw.Widget) -> tuple[float, str]:
    """Where a slider stands, from 0 to 1, and its value."""
    if isinstance(slider, ipw.SelectionSlider):
        return slider.index / (len(slider.options) - 1), slider.options[slider.index][0]
    return (slider.value - slider.min) / (slider.max - slider.min), f"{slider.value:.2f}"


def _label_slider(name: str, classes: Sequence[str], value: int) -> ipw.SelectionSlider:
    layout, options = ipw.Layout(width=WIDE), [(each, k) for k, each in enumerate(classes)]
    return ipw.SelectionSlider(options=options, value=value, description=name, layout=layout)


def _slider(name: str, low: float, high: float, value: float = 0.0) -> ipw.FloatSlider:
    layout = ipw.Layout(width=WIDE)
    return ipw.FloatSlider(
        min=low, max=high, step=0.01, value=value, description=name, layout=layout
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: three small pictures are less work than waiting, on a machine that
    is busy with something else, until a second thread is given its turn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
