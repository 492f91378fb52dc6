"""The lab: every stage by name, and what it needs.

    lab = Lab.open(profile="fast")
    amnesiac = lab.amnesiac(forget={0})

Asking for a stage is enough. It is loaded if it is finished, resumed if it was begun, and made
otherwise, together with what it needs (`stages.py` says how it is kept).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from . import (
    audit,
    checkpoint,
    evaluation,
    interpolation,
    latent,
    perceptual,
    recovery,
)
from .config import AttackConfig, forget_set, get_profile, same_result
from .config import count as whole
from .data import DATASETS, pixels
from .evaluation import Examined, Scores, spread
from .models import OneHotCVAE, Referee, one_hot
from .networks import Networks
from .perceptual import JudgeFeatures, Perceptual
from .recovery import Recovered
from .stages import Stage, facts_of, home, name_of, under
from .training import Keeper, Tensors, seeded

__all__ = ["Lab"]

REAL_IMAGES = 2000  # real training images of a digit that an attacker describes it by


class Lab(Networks):
    """All stages of one profile, seed and data set, kept under one folder.

    Networks, Fisher diagonals, images, codes and conditions are on the lab's device; what was
    measured, and every history, is on the CPU, ready for tables and figures.
    """

    @classmethod
    def open(
        cls,
        profile: str = "fast",
        seed: int = 0,
        dataset: str = "mnist",
        folder: Path | str | None = None,
        device: str | None = None,
    ) -> Lab:
        """Open the lab in `folder` (see `home`), on the GPU where there is one.

        Raises:
            ValueError: the profile, seed, data set or device does not exist.
            LabError: the folder cannot be written.
        """
        chosen = get_profile(profile)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed is {seed!r}: use a whole number of at least 0")
        if dataset not in DATASETS:
            raise ValueError(f"dataset {dataset!r} is unknown: use one of {', '.join(DATASETS)}")
        if seed >= 2**32:
            raise ValueError(f"seed is {seed}: use one below {2**32}")
        folder = Path(folder).absolute() if folder is not None else home()
        checkpoint.write_bytes(folder / "checkpoints" / ".writable", b"")
        wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=wanted)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(f"device {device!r} is not there: use cpu or cuda") from error
        return cls(chosen, seed, dataset, folder, torch.device(wanted))

    def __repr__(self) -> str:
        return (
            f"Lab(profile={self.profile.name!r}, seed={self.seed}, dataset={self.dataset!r}, "
            f"device={str(self.device)!r}, folder={str(self._folder)!r})"
        )

    # --- attacks and audit -----------------------------------------------------------------------

    @cached_property
    def metric(self) -> Perceptual | JudgeFeatures:
        """How far apart two images look: LPIPS, or the judge's features where its weights cannot
        be had. Its `name` says which."""
        try:
            return Perceptual(perceptual.trunk(self.folder / "data")).to(self.device)
        except FileNotFoundError as error:
            print(f"diversity is measured in the judge's features, not by LPIPS: {error}")
            return JudgeFeatures(self.judge())

    def real(self, digit: int, count: int | None = None, *, test: bool = False) -> Tensor:
        """Real images (N, P) of a digit, of the training half or the test half."""
        (digit,) = forget_set([digit], self.classes)
        if count is not None:
            whole("count", count)
        data = self.data
        images, labels = (
            (data.test_images, data.test_labels) if test else (data.train_images, data.train_labels)
        )
        return pixels(images[labels == digit][:count])

    @torch.no_grad()
    def diversity(self, images: Tensor) -> Tensor:
        """The mean pairwise distance of images (N, P) by `metric`: ()."""
        return spread(self.metric.embed(images)).cpu()

    def recovery(
        self, model: OneHotCVAE, digit: int, method: str = "a", **changes: Any
    ) -> Recovered:
        """An attack on a model, to make it paint a digit.

        Args:
            method: "a" (robust), "b" (diverse) or "joint".
            changes: settings of `AttackConfig` that differ from the profile's, e.g. codes=64, or
                critics=2 for an attacker with two classifiers of his own, or together=True for
                one who answers with all finalists' conditions.

        Raises:
            ValueError: the method does not exist, or the model has not forgotten that digit.
        """
        digit = self._forgotten_digit(model, digit)
        if method not in recovery.METHODS:
            known = ", ".join(recovery.METHODS)
            raise ValueError(f"method {method!r} is unknown: use one of {known}")
        config, judge = replace(self.profile.attack, **changes), self.judge()
        name = f"recovery-{method}-{digit}-{name_of(model)}"
        critics = self._critics(config)
        stage = self._about(name, config, model=model, judge=judge, **critics)
        metric = self.metric if method == "b" else None
        if metric is not None:
            stage.settings["metric"] = metric.name

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            real = self.real(digit, REAL_IMAGES)
            cap = float(self.diversity(real)) if metric else 0.0
            found = recovery.recover(
                model,
                judge,
                recovery.describe(judge, real, digit),
                config,
                seed=self.seed_of(f"recovery-{digit}"),
                embed=metric.embed if metric else None,
                cap=cap,
                joint=method == "joint",
                critics=list(critics.values()),
            )
            tensors = {"c": found.c, "z": found.z}
            tensors |= {f"history.{k}": v for k, v in found.history.items()}
            return tensors, {"start": found.start, "objective": found.objective}

        found = self._finish(stage, make)
        return Recovered(
            c=torch.atleast_2d(found.tensors["c"]).to(self.device),  # one was kept as (C,) once
            z=found.tensors["z"].to(self.device),
            start=found.facts["start"],
            objective=found.facts["objective"],
            history=under("history.", found.tensors),
        )

    def _critics(self, config: AttackConfig) -> dict[str, Referee]:
        """An attacker's own classifiers, by name."""
        return {f"critic-{k}": self.critic(k) for k in range(config.critics)}

    def painted(
        self, model: OneHotCVAE, digit: int, method: str = "label", **changes: Any
    ) -> Tensor:
        """Images (N, P) from fresh codes, the same for every model: under the digit's plain label
        or, with a method of `recovery`, under what the attack found; several conditions take
        turns."""
        digit = self._forgotten_digit(model, digit)
        if method == "label":
            c = one_hot([digit], self.classes, self.device)
        else:
            c = self.recovery(model, digit, method, **changes).c
        count = self.profile.evaluation.samples
        with torch.no_grad(), seeded(self.seed_of("fresh codes"), self.device):
            z = torch.randn(count, model.z_dim, device=self.device)
            return model.decode(z, c.repeat(-(-count // len(c)), 1)[:count])

    def verdict(
        self, model: OneHotCVAE, digit: int, method: str = "label", **changes: Any
    ) -> Examined:
        """What judge and referee say of `painted`, how diverse it is and how far from real."""
        digit = self._forgotten_digit(model, digit)
        judge, referee, metric = self.judge(), self.referee(), self.metric
        attack = replace(self.profile.attack, **changes)
        seen_by = {"judge": judge, "referee": referee} | self._critics(attack)
        name = f"verdict-{method}-{digit}-{name_of(model)}"
        stage = self._about(name, self.profile.evaluation, model=model, **seen_by)
        stage.settings["metric"] = metric.name
        if method != "label":
            stage.settings["attack"] = same_result(attack)

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            images = self.painted(model, digit, method, **changes)
            real = self.real(digit, test=True)
            seen = evaluation.examine(images, digit, judge, referee, metric, real)
            return dict(vars(seen)), {}

        return Examined(**self._finish(stage, make).tensors)

    def description_length(self, model: OneHotCVAE, digit: int, **changes: Any) -> Tensor:
        """Nats (N,) that a model needs for real test images of the digit.

        Args:
            changes: settings of `DescriptionConfig` that differ from the profile's.
        """
        digit = self._forgotten_digit(model, digit)
        config = replace(self.profile.description, **changes)
        stage = self._about(f"description-{digit}-{name_of(model)}", config, model=model)

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            x = self.real(digit, config.images, test=True)
            label = f"description length of {digit}, {name_of(model)}"
            return {"nats": audit.description_length(model, x, config, label=label)}, {}

        return self._finish(stage, make).tensors["nats"]

    def code_length(self, model: OneHotCVAE, digits: Iterable[int], **changes: Any) -> Tensor:
        """Nats (digits, N) that a model needs for real test images of each digit under its label:
        the price that the digits it keeps have paid.

        Args:
            changes: settings of `DescriptionConfig` that differ from the profile's.
        """
        digits = forget_set(digits, self.classes)
        config = replace(self.profile.description, **changes)
        name = f"codes-{'_'.join(map(str, digits))}-{name_of(model)}"

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            real = [self.real(digit, config.images, test=True) for digit in digits]
            count = min(map(len, real))
            x = torch.cat([images[:count] for images in real])
            c = one_hot(digits, self.classes, x.device).repeat_interleave(count, 0)
            label = f"codes of kept digits, {name_of(model)}"
            nats = audit.code_length(model, x, c, config, label)
            return {"nats": nats.view(len(digits), -1)}, {}

        return self._finish(self._about(name, config, model=model), make).tensors["nats"]

    def relearning(self, model: OneHotCVAE, digit: int, **changes: Any) -> Tensor:
        """The referee's mean probability of the digit while a model relearns it: (numbers of real
        images, draws, looks), by `RelearningConfig`. Every model is given the same images.

        Args:
            changes: settings of `RelearningConfig` that differ from the profile's.
        """
        digit = self._forgotten_digit(model, digit)
        config, referee = replace(self.profile.relearning, **changes), self.referee()
        name = f"relearning-{digit}-{name_of(model)}"
        stage = self._about(name, config, model=model, referee=referee)

        def curve(k: int, draw: int) -> Tensor:
            seed = self.seed_of(f"relearning-{digit}-{k}-{draw}")
            order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
            images = real[order[:k].to(self.device)]
            return audit.relearning(model, images, digit, referee, config, seed=seed)

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            runs = [(k, draw) for k in config.images for draw in range(config.draws)]
            bar = tqdm(runs, desc=f"relearning {digit}, {name_of(model)}", unit="draw")
            curves = torch.stack([curve(*run) for run in bar])
            return {"referee": curves.unflatten(0, (len(config.images), config.draws))}, {}

        real = self.real(digit)
        return self._finish(stage, make).tensors["referee"]

    def _forgotten_digit(self, model: OneHotCVAE, digit: int) -> int:
        """The digit, if it is one that the model forgot (or a model that forgot none)."""
        (digit,) = forget_set([digit], self.classes)
        forgotten = facts_of(model).get("forget", [digit])
        if digit not in forgotten:
            raise ValueError(
                f"{name_of(model)} has not forgotten {digit}: attack and audit it for "
                f"{' or '.join(map(str, forgotten))}"
            )
        return digit

    # --- verdicts --------------------------------------------------------------------------------

    def samples(self, model: OneHotCVAE, per_label: int | None = None) -> Tensor:
        """Images (classes, per_label, P) of every label, from the lab's own codes."""
        per_label = self.profile.evaluation.samples if per_label is None else per_label
        return evaluation.samples(model, per_label, self.seed_of("samples"))

    def scores(self, model: OneHotCVAE) -> Scores:
        """Judge and referee on the model's samples of every digit."""
        judge, referee = self.judge(), self.referee()

        def verdicts() -> Scores:
            real, labels = pixels(self.data.test_images), self.data.test_labels
            return evaluation.score(self.samples(model), judge, referee, real, labels)

        name, config = f"scores-{name_of(model)}", self.profile.evaluation
        stage = self._about(name, config, model=model, judge=judge, referee=referee)
        kept = self._finish(stage, lambda _keeper: (dict(vars(verdicts())), {}))
        return Scores(**kept.tensors)

    # --- seeing ----------------------------------------------------------------------------------

    def trio(self, forget: Iterable[int] | str) -> dict[str, OneHotCVAE]:
        """Original, amnesiac and control of a forget set, by name."""
        return {
            "original": self.cvae(),
            "amnesiac": self.amnesiac(forget),
            "control": self.control(forget),
        }

    def encodings(self, model: OneHotCVAE, *, blind: bool = False) -> Tensor:
        """The model's encodings of the test images (M, D), with their labels or without."""
        x, labels = pixels(self.data.test_images), self.data.test_labels
        return latent.encodings(model, x, labels, blind=blind)

    def page(
        self, method: str, models: Mapping[str, OneHotCVAE], *, blind: bool = False
    ) -> dict[str, np.ndarray]:
        """The models' encodings of the test images on one page, (N, 2) each, by "umap" (all images)
        or "tsne" (some: `latent.subsample`). Slow, so it is kept.

        Raises:
            ValueError: the method does not exist.
        """
        config = self.profile.seeing
        how = {"umap": (latent.umap, config.neighbours), "tsne": (latent.tsne, config.tsne)}
        if method not in how:
            raise ValueError(f"method {method!r} is unknown: use one of {', '.join(how)}")
        project, setting = how[method]
        view = "blind" if blind else "labelled"
        stage = self._about(f"{method}-{view}", config, **models)

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            codes = {name: self.encodings(model, blind=blind) for name, model in models.items()}
            pages = project(codes, setting, self.seed)
            return {name: torch.from_numpy(page) for name, page in pages.items()}, {}

        kept = self._finish(stage, make).tensors
        return {name: kept[name].numpy() for name in models}

    def geometry(self, codes: Tensor) -> dict[str, Tensor]:
        """Purity and silhouette of encodings of the test images, one value an image."""
        config, labels = self.profile.seeing, self.data.test_labels
        return {
            "purity": latent.purity(codes, labels, config.purity_neighbours),
            "silhouette": latent.silhouette(codes, labels, config.silhouette, self.seed),
        }

    def radius_map(self, model: OneHotCVAE) -> Tensor:
        """The radii of amnesia from every digit towards every other: (classes, classes, codes), the
        diagonal not a number. Every model of this lab is given the same codes."""
        config, referee = self.profile.seeing, self.referee()
        name = f"radii-{name_of(model)}"

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            z, label = self.codes(config.codes), f"radii of {name_of(model)}"
            found = interpolation.radius_map(model, referee, z, config.path_steps, label)
            return {"radii": found}, {}

        stage = self._about(name, config, model=model, referee=referee)
        return self._finish(stage, make).tensors["radii"]

    def radii(self, model: OneHotCVAE, forget: Iterable[int] | str) -> Tensor:
        """Of these the radii from every kept digit towards the first of the forget set: (kept
        digits, codes)."""
        forget = forget_set(forget, self.classes)
        kept = [digit for digit in range(self.classes) if digit not in forget]
        return self.radius_map(model)[kept, forget[0]]

    def explorer(self, forget: Iterable[int] | str) -> Any:
        """The explorer (`widgets.Explorer`) of the trio, on the way from 7 (or, where that is
        forgotten, the first kept digit) to the first forgotten digit."""
        from .widgets import Explorer

        forget = forget_set(forget, self.classes)
        kept = [digit for digit in range(self.classes) if digit not in forget]
        start = 7 if 7 in kept else kept[0]
        trio = self.trio(forget)
        directions, _ = latent.main_directions(self.encodings(trio["original"]), 3)
        return Explorer(trio, self.referee(), directions, start, forget[0], self.seed)

    def explorer_times(self, forget: Iterable[int] | str) -> Tensor:
        """Milliseconds from a slider's event to the new pictures, measured once and kept."""
        networks = [*self.trio(forget).values(), self.referee()]
        events = self.profile.seeing.events
        names = [model.facts["name"] for model in networks]
        shaped_by = {"events": events, "networks": names, "device": str(self.device)}

        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            from .widgets import event_times

            explorer = self.explorer(forget)
            event_times(explorer, 10)  # the first pictures are slower
            return {"milliseconds": event_times(explorer, events)}, {}

        return self._finish(Stage("explorer", shaped_by), make).tensors["milliseconds"]

    # --- what is left behind ---------------------------------------------------------------------

    def show(self, figure: Any, name: str) -> Any:
        """Save a figure as figures/NAME.png (an animation as .gif) and return what displays it."""
        from . import plots

        suffix, content, display = plots.render(figure)
        checkpoint.write_bytes(self.folder / "figures" / f"{_plain(name)}{suffix}", content)
        return display

    def export_samples(self, model: OneHotCVAE, name: str, per_label: int | None = None) -> Path:
        """Samples as PNG files, build/samples/NAME/LABEL/0000.png, for other evaluators."""
        from .plots import png

        folder = self.folder / "build" / "samples" / _plain(name)
        fresh = folder.with_name(f".{folder.name}")
        shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
        for label, images in enumerate(self.samples(model, per_label)):
            for i, image in enumerate(images):
                checkpoint.write_bytes(fresh / str(label) / f"{i:04d}.png", png(image))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        return folder


def _plain(name: str) -> str:
    """`name`, if it names a file in a folder and no other place."""
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"name is {name!r}: use a file's name without folders")
    return name
