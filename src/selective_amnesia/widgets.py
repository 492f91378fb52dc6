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
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ipywidgets as ipw
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .config import count
from .evaluation import probabilities
from .interpolation import film, label_path
from .models import OneHotCVAE, Referee, check_rows, shaped, side_of

__all__ = ["Explorer", "event_times", "portrait", "verdict"]

SIDE = 196  # of a picture, in pixels
BARS = 64  # height of the referee's bars below it, in pixels
REACH = 3.0  # of the direction sliders, in standard deviations of the prior
INK, PALE = 43, 184


def portrait(image: Tensor, probability: Tensor) -> bytes:
    """A picture (P,) with the referee's probabilities (classes + 1,) as bars below it, as PNG."""
    shaped(probabilities=(probability, "C"))
    picture = _picture(image, SIDE)
    page = Image.new("L", (SIDE, SIDE + BARS), 255)
    page.paste(picture, (0, 0))
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


def _picture(image: Tensor, size: int) -> Image.Image:
    shaped(image=(image, "P"))
    side = side_of(image)
    pixels = (image.view(side, side) * 255).byte().numpy()
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@functools.cache
def _font() -> ImageFont.ImageFont:
    """Loaded once: it takes longer than a picture."""
    return ImageFont.load_default(11)


def verdict(probability: Tensor) -> str:
    """The referee's answer in words, from its probabilities (classes + 1,)."""
    shaped(probabilities=(probability, "C"))
    best = int(probability.argmax())
    name = "no digit" if best == len(probability) - 1 else f"a {best}"
    return f"{name} ({float(probability[best]):.0%})"


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


class Explorer:
    """Sliders for two digits, their mix and the main directions of z; a picture for every model.

    Args:
        models: name -> model, all with codes of one size.
        referee: says what it takes each picture for.
        directions: orthonormal directions of z (M, D), a slider each (`latent.main_directions`).
        start, end: the digits to begin with.
        seed: of the codes that "new z" draws.

    Raises:
        ValueError: a model or the directions have another z_dim, or the digits are bad.
    """

    def __init__(
        self,
        models: Mapping[str, OneHotCVAE],
        referee: Referee,
        directions: Tensor,
        start: int,
        end: int,
        seed: int = 0,
    ) -> None:
        sizes = {name: model.z_dim for name, model in models.items()}
        if not sizes:
            raise ValueError("there are no models to explore: give at least one")
        sizes["the directions"] = check_rows("directions", directions).shape[1]
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(f"codes differ in size ({listed}): give models of one z_dim")
        self.models, self.referee = dict(models), referee
        self.classes = next(iter(self.models.values())).classes
        label_path(start, end, 0.0, self.classes)
        self.directions = directions.detach().cpu()
        self.generator = torch.Generator().manual_seed(count("seed", seed, 0))

        digits = range(self.classes)
        wide = ipw.Layout(width="420px")

        def slider(name: str, reach: float, low: float = 0.0) -> ipw.FloatSlider:
            return ipw.FloatSlider(
                min=low, max=reach, step=0.01, value=0, description=name, layout=wide
            )

        self.start = ipw.SelectionSlider(
            options=digits, value=start, description="from", layout=wide
        )
        self.end = ipw.SelectionSlider(options=digits, value=end, description="to", layout=wide)
        self.mix = slider("mix", 1.0)
        self.along = [
            slider(f"direction {k + 1}", REACH, -REACH) for k in range(len(self.directions))
        ]
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
        for widget in self.sliders:
            widget.observe(self._changed, "value")
        self.button.on_click(lambda _button: self.new_z())
        self.new_z()

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
        """Paint and judge with the sliders as they stand."""
        try:
            c = label_path(self.start.value, self.end.value, self.mix.value, self.classes)
        except ValueError as sorry:
            self.message.value = str(sorry)
            return
        self.message.value = ""
        with _one_thread():
            images = torch.cat([film(model, self.z[None], c) for model in self.models.values()])
            verdicts = probabilities(self.referee, images).cpu()
        for name, image, p in zip(self.models, images.cpu(), verdicts, strict=True):
            self.pictures[name].value = portrait(image, p)
            self.verdicts[name].value = f"referee: {verdict(p)}"

    def still(self, steps: int = 9) -> bytes:
        """A film strip, as PNG, of the mix going from 0 to 1 at the present code: a row a model."""
        alpha = torch.linspace(0, 1, count("steps", steps))
        c = label_path(self.start.value, self.end.value, alpha, self.classes)
        side, margin, gap, head, foot = 98, 76, 4, 18, 20
        size = (margin + steps * (side + gap), head + len(self.models) * (side + foot))
        page = Image.new("L", size, 255)
        draw, font = ImageDraw.Draw(page), _font()
        for k, alpha in enumerate(np.linspace(0, 1, steps)):
            place = (margin + k * (side + gap) + side / 2, 2)
            draw.text(place, f"mix {alpha:.2f}", INK, font, anchor="ma")
        for row, (name, model) in enumerate(self.models.items()):
            top = head + row * (side + foot)
            draw.text((2, top + side / 2), name, INK, font, anchor="lm")
            images = film(model, self.z, c)
            verdicts = probabilities(self.referee, images).cpu()
            for k, (image, p) in enumerate(zip(images.cpu(), verdicts, strict=True)):
                left = margin + k * (side + gap)
                page.paste(_picture(image, side), (left, top))
                place = (left + side / 2, top + side + 2)
                draw.text(place, verdict(p), INK, font, anchor="ma")
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


def event_times(explorer: Explorer, events: int, seed: int = 0) -> Tensor:
    """Milliseconds (events,) from a slider's event, as a front end sends it, to the new pictures.

    Random sliders are set to random values; equal digits, which draw nothing, do not occur.
    """
    count("events", events)
    draw = np.random.default_rng(count("seed", seed, 0))
    times = []
    while len(times) < events:
        slider = explorer.sliders[draw.integers(len(explorer.sliders))]
        if isinstance(slider, ipw.SelectionSlider):
            index = int(draw.integers(explorer.classes))
            if index in (explorer.start.index, explorer.end.index):
                continue
            state = {"index": index}
        else:
            state = {"value": round(float(draw.uniform(slider.min, slider.max)), 2)}
        started = time.perf_counter()
        slider.set_state(state)
        times.append(1000 * (time.perf_counter() - started))
    return torch.tensor(times)
