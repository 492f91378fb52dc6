"""Where a lab's models put their codes: encodings, pages, radii."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import count, forget_set
from ..data.dataset import pixels
from ..latent import encodings as projections
from ..latent import geometry, radius
from ..models.cvae import OneHotCVAE
from ..storage.stage import Tensors
from .identity import identify
from .networks import Networks


class LatentViews:
    """Codes of a lab's models; what is slow is kept."""

    def __init__(self, lab: Networks) -> None:
        self.lab, self.config, self.maker = lab, lab.profile.visualisation, lab._maker

    def codes(self, number: int) -> Tensor:
        """Fixed codes z (N, D) for pictures: the same in every notebook of this seed."""
        return self.maker.fixed_codes(count("number", number), self.lab.profile.cvae.z_dim)

    def encodings(self, model: OneHotCVAE, *, blind: bool = False) -> Tensor:
        """The model's encodings of the test images (M, D), with their labels or without."""
        x, labels = pixels(self.lab.data.test_images), self.lab.data.test_labels
        return projections.encodings(model, x, labels, blind=blind)

    def projection(
        self, method: str, models: Mapping[str, OneHotCVAE], *, blind: bool = False
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The models' encodings of some test images (`drawn`) on one page, (N, 2) each, by "umap"
        or "tsne". Slow, so it is kept.

        Raises:
            ValueError: the method does not exist.
        """
        how: dict[str, Callable[..., Any]] = {
            "umap": partial(projections.umap, neighbours=self.config.neighbours),
            "tsne": projections.tsne,
        }
        if method not in how:
            raise ValueError(f"method {method!r} is unknown: use one of {', '.join(how)}")

        def make() -> Tensors:
            rows = self.drawn()
            codes = {
                name: self.encodings(model, blind=blind)[rows] for name, model in models.items()
            }
            pages = how[method](codes, self.lab.seed)
            return {name: torch.from_numpy(page) for name, page in pages.items()}

        shaped_by = self.config.shaping()
        shaped_by |= {name: identify(m, self.lab.device).key for name, m in models.items()}
        view = "blind" if blind else "labelled"
        kept = self.maker.measured(f"{method}-{view}", projections.VERSION, shaped_by, make)
        return {name: kept[name].numpy() for name in models}

    def drawn(self) -> Tensor:
        """Which test images a projection shows: their rows (N,)."""
        total, number = len(self.lab.data.test_labels), self.config.drawn
        rows = projections.subsample(total, number, self.lab.seed)
        return torch.from_numpy(rows).to(self.lab.device)

    def geometry(self, codes: Tensor) -> dict[str, Tensor]:
        """Purity and silhouette of encodings of the test images, one value an image."""
        config, labels = self.config, self.lab.data.test_labels
        return {
            "purity": geometry.purity(codes, labels, config.purity_neighbours),
            "silhouette": geometry.silhouette(codes, labels, config.silhouette, self.lab.seed),
        }

    def radius_map(self, model: Any) -> Tensor:
        """The radii of amnesia from every label towards every other: (classes, classes, codes), the
        diagonal not a number. Every model of this lab is given the same codes."""
        config, panel = self.config, self.lab.panel
        who = identify(model, self.lab.device)

        def make() -> Tensors:
            z, progress = self.codes(config.codes), f"radii of {who.name}"
            return {"radii": radius.radius_map(model, panel.shows, z, config.path_steps, progress)}

        shaped_by = config.shaping() | self.maker.names(who, panel=panel)
        return self.maker.measured(f"radii-{who.name}", radius.VERSION, shaped_by, make)["radii"]

    def radii(self, model: Any, forget: Iterable[int] | str) -> Tensor:
        """Of these the radii from every kept label towards the first of the forget set: (kept
        labels, codes)."""
        forgotten = forget_set(forget, self.lab.data.classes)
        kept = [label for label in range(self.lab.data.classes) if label not in forgotten]
        return self.radius_map(model)[kept, forgotten[0]]
