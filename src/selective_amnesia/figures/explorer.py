"""The explorer: sliders for the condition and the code, several models side by side.

A slider's event becomes a new picture in one batch: every model decodes the same code under the
same mixed label, the referee looks at all the pictures at once, and PIL writes each as a small
PNG into an image widget. (To redraw a matplotlib figure takes ten times the 50 ms that a hand
on a slider forgives.) Nothing of a figure library and no file is involved.

The code is z = rest + sum_k s_k d_k: the sliders s_k are its coordinates along the main directions
d_k, and `rest`, what is left of it beside them, changes with the button "new z".
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ipywidgets as ipw
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from ..latent.interpolation import decode_path, label_path
from ..models.classifiers import probabilities, side_of
from ..models.cvae import OneHotCVAE

SIDE = 196  # of a picture, in pixels
BARS = 64  # height of the referee's bars below it, in pixels
REACH = 3.0  # of the direction sliders, in standard deviations of the prior
WIDE = "420px"  # a slider
INK, PALE = 43, 184


class Explorer:
    """Sliders for two labels, their mix and the main directions of z; a picture for every model.

    Args:
        models: name -> model, all with codes of one size.
        referee: says what it takes each picture for.
        directions: orthonormal directions of z (M, D), a slider each
            (`latent.geometry.main_directions`).
        start, end: the labels to begin with.
        seed: of the codes that "new z" draws.

    Raises:
        ValueError: there is no model, a model or the directions have another z_dim, or the labels
            are bad.
    """

    def __init__(
        self,
        models: Mapping[str, OneHotCVAE],
        referee: nn.Module,
        directions: Tensor,
        start: int,
        end: int,
        seed: int = 0,
    ) -> None:
        if not models:
            raise ValueError("there are no models to explore: give at least one")
        sizes = {name: model.z_dim for name, model in models.items()}
        sizes["the directions"] = directions.shape[1]
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(f"codes differ in size ({listed}): give models of one z_dim")
        self.models, self.referee = dict(models), referee
        self.classes = next(iter(self.models.values())).classes
        label_path(start, end, 0.0, self.classes)  # refuses bad labels
        self.directions = directions.detach().cpu()
        self.generator = torch.Generator().manual_seed(seed)
        self._make_widgets(start, end)
        for widget in self.sliders:
            widget.observe(self._changed, "value")
        self.button.on_click(lambda _button: self.new_z())
        self.new_z()

    def _make_widgets(self, start: int, end: int) -> None:
        """The sliders above one another, below them a column a model, and a line for messages."""
        self.start = _label_slider("from", self.classes, start)
        self.end = _label_slider("to", self.classes, end)
        self.mix = _slider("mix", 0.0, 1.0)
        count = len(self.directions)
        self.along = [_slider(f"direction {k + 1}", -REACH, REACH) for k in range(count)]
        self.sliders = [self.start, self.end, self.mix, *self.along]
        self.button = ipw.Button(description="new z")
        self.message = ipw.HTML()
        self.pictures = {name: ipw.Image(format="png") for name in self.models}
        self.verdicts = {name: ipw.HTML() for name in self.models}
        columns = [
            ipw.VBox([ipw.HTML(f"<b>{name}</b>"), self.pictures[name], self.verdicts[name]])
            for name in self.models
        ]
        self.box = ipw.VBox(
            [*self.sliders, self.button, ipw.HBox(columns), self.message], _view_count=0
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

    def _changed(self, _change: object) -> None:
        if not self.moving:
            self.draw()

    def draw(self) -> None:
        """Decode, and ask the referee, with the sliders as they stand."""
        try:
            c = label_path(self.start.value, self.end.value, self.mix.value, self.classes)
        except ValueError as error:
            self.message.value = str(error)
            return
        self.message.value = ""
        with _one_thread():
            z, models = self.z[None], self.models.values()
            images = torch.cat([decode_path(model, z, c) for model in models])
            verdicts = probabilities(self.referee, images).cpu()
        for name, image, p in zip(self.models, images.cpu(), verdicts, strict=True):
            self.pictures[name].value = picture_with_bars(image, p)
            self.verdicts[name].value = f"referee: {in_words(p)}"

    def still(self, steps: int = 9) -> bytes:
        """A film strip, as PNG, of the mix going from 0 to 1 at the present code: a row a model."""
        mixes = torch.linspace(0, 1, steps)
        c = label_path(self.start.value, self.end.value, mixes, self.classes)
        side, margin, gap, head, foot = 98, 76, 4, 18, 20
        size = (margin + steps * (side + gap), head + len(self.models) * (side + foot))
        page = Image.new("L", size, 255)
        draw, font = ImageDraw.Draw(page), _font()
        lefts = [margin + k * (side + gap) for k in range(steps)]
        for left, mix in zip(lefts, mixes.tolist(), strict=True):
            draw.text((left + side / 2, 2), f"mix {mix:.2f}", INK, font, anchor="ma")
        for row, (name, model) in enumerate(self.models.items()):
            top = head + row * (side + foot)
            draw.text((2, top + side / 2), name, INK, font, anchor="lm")
            images = decode_path(model, self.z, c)
            verdicts = probabilities(self.referee, images).cpu()
            for left, image, p in zip(lefts, images.cpu(), verdicts, strict=True):
                page.paste(_picture(image, side), (left, top))
                draw.text((left + side / 2, top + side + 2), in_words(p), INK, font, anchor="ma")
        out = io.BytesIO()
        page.quantize(64).save(out, "PNG", optimize=True)
        return out.getvalue()

    def show(self) -> None:
        """Display the explorer, and below it a still film that leaves once a front end has drawn
        the sliders: where none does, the film is what a reader sees."""
        from IPython.display import Image as Shown
        from IPython.display import display

        display(self.box)
        film = display(Shown(data=self.still(), format="png"), display_id=True)

        def drawn(_change: object) -> None:
            film.update({"text/plain": ""}, raw=True)
            self.box.unobserve(drawn, "_view_count")

        self.box.observe(drawn, "_view_count")


def picture_with_bars(image: Tensor, probability: Tensor) -> bytes:
    """A picture (P,) with the referee's probabilities (classes + 1,) as bars below it, as PNG."""
    page = Image.new("L", (SIDE, SIDE + BARS), 255)
    page.paste(_picture(image, SIDE), (0, 0))
    draw = ImageDraw.Draw(page)
    font = _font()
    foot = page.height - 15
    pitch = page.width / len(probability)
    for k, p in enumerate(probability.tolist()):
        left = k * pitch
        height = round(p * (BARS - 22))
        draw.line((left + 2, foot, left + pitch - 3, foot), PALE)
        if height:
            draw.rectangle((left + 2, foot - height, left + pitch - 3, foot), INK)
        name = str(k) if k < len(probability) - 1 else "?"
        draw.text((left + pitch / 2, foot + 2), name, INK, font, anchor="ma")
    out = io.BytesIO()
    page.save(out, "PNG", compress_level=1)
    return out.getvalue()


def in_words(probability: Tensor) -> str:
    """The referee's answer in words, from its probabilities (classes + 1,)."""
    best = int(probability.argmax())
    name = "no digit" if best == len(probability) - 1 else f"a {best}"
    return f"{name} ({float(probability[best]):.0%})"


def _picture(image: Tensor, size: int) -> Image.Image:
    side = side_of(image)
    pixels = (image.view(side, side) * 255).byte().numpy()
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@functools.cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Loaded once: it takes longer than a picture."""
    return ImageFont.load_default(11)


def _label_slider(name: str, classes: int, value: int) -> ipw.SelectionSlider:
    layout = ipw.Layout(width=WIDE)
    return ipw.SelectionSlider(options=range(classes), value=value, description=name, layout=layout)


def _slider(name: str, low: float, high: float) -> ipw.FloatSlider:
    layout = ipw.Layout(width=WIDE)
    return ipw.FloatSlider(min=low, max=high, step=0.01, value=0, description=name, layout=layout)


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
