import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from selective_amnesia import figures
from selective_amnesia.figures.images import tile


def rendered(figure):
    suffix, content, display = figures.render(figure, "2 < 3")
    shown = display.data
    assert shown == content or base64.b64encode(content).decode() in shown
    assert shown == content or 'alt="2 &lt; 3"' in shown
    assert shown != content or display.metadata["alt"] == "2 < 3"
    image = Image.open(io.BytesIO(content))
    image.load()
    assert suffix == f".{image.format.lower()}"
    return image


def test_tile_puts_each_image_in_its_place():
    images = torch.zeros(2, 3, 16)
    images[1, 2] = 0.5
    board = tile(images, gap=1)
    assert board.shape == (9, 14)
    assert (board[5:9, 10:14] == 0.5).all()
    assert (board[4] == 1).all()
    assert board.sum() == 16 * 0.5 + 14 + 2 * 9 - 2
    assert np.array_equal(tile((images * 255).round().byte(), 1).round(1), board)


def test_a_figure_is_rendered_at_colabs_width_without_empty_margins():
    image = rendered(figures.grids({"original": torch.rand(2, 8, 16)}, height=6.0))
    assert image.format == "PNG"
    assert image.width == 1800
    assert image.height < 800
    assert len(image.convert("L").getcolors()) > 10


def test_only_figures_are_rendered():
    with pytest.raises(TypeError, match="is no figure"):
        figures.render("figure")


def test_forgotten_rows_are_named_so_and_set_apart():
    figure = figures.before_after({"original": torch.rand(3, 2, 16)}, {1})
    names = figure.axes[0].get_yticklabels()
    assert [name.get_text() for name in names] == ["0", "1 forgotten", "2"]
    assert len({name.get_color() for name in names}) == 2


def test_an_animation_has_a_frame_for_every_caption():
    frames = torch.randint(0, 255, (5, 10, 4, 784), dtype=torch.uint8)
    image = rendered(figures.gif(frames, [f"step {k}" for k in range(5)]))
    assert image.format == "GIF"
    assert image.n_frames == 5
    with pytest.raises(ValueError, match="argument"):
        figures.gif(frames, ["too few"])


def test_one_image_is_a_png_of_its_own_pixels():
    pixels = torch.arange(16) / 15
    image = Image.open(io.BytesIO(figures.png(pixels)))
    assert image.size == (4, 4)
    assert list(image.tobytes()) == (pixels * 255).round().tolist()
