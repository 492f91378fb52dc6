"""What is left in a model: attacks, metrics and scores, each measured once and kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import checks
from ..attacks import ATTACKS
from ..attacks.search import AttackTask, Recovered
from ..checks import count, forget_set
from ..config import AttackConfig, Config
from ..data.dataset import pixels
from ..metrics import METRICS, recognition
from ..metrics.perceptual import JudgeFeatures, Perceptual, alexnet_weights
from ..metrics.recognition import SampleMetrics, Scores
from ..metrics.task import MetricTask
from ..models.cvae import one_hot
from ..referees.cnn import RefereeCNN
from ..storage.files import write_bytes
from ..storage.stage import Tensors, prefixed, under
from .identity import Identity, identify
from .networks import Networks

LABEL = "label"  # the way of asking that is no attack: the plain label


class Measurements:
    """Asks models of a lab, or a reader's own, and keeps what was measured.

    A model is anything with the decoder's interface and weights (`models.cvae.Decoder`). A *way* of
    asking is "label", its plain label, or the name of an attack.
    """

    def __init__(self, lab: Networks) -> None:
        self.lab, self.profile = lab, lab.profile
        self.maker = lab._maker

    # --- attacks ---------------------------------------------------------------------------------

    @cached_property
    def perceptual(self) -> Perceptual | JudgeFeatures:
        """How far apart two images look: LPIPS, or the judge's features where its weights cannot
        be had. Its `name` says which."""
        try:
            weights = alexnet_weights(self.lab.store.folder / "data")
            return Perceptual(weights).to(self.lab.device)
        except FileNotFoundError as error:
            print(f"diversity is measured in the judge's features, not by LPIPS: {error}")
            return JudgeFeatures(self.lab.judge())

    @torch.no_grad()
    def diversity(self, images: Tensor) -> Tensor:
        """The mean pairwise distance of images (N, P) by `perceptual`: ()."""
        return recognition.spread(self.perceptual.embed(images)).cpu()

    def attack(self, model: Any, label: int, name: str = "robust", **changes: Any) -> Recovered:
        """An attack on a model, to make it generate a label.

        Args:
            name: one of `attacks.ATTACKS`.
            changes: settings of the attack that differ from the profile's, e.g. codes=64, or
                surrogates=2 for an attacker with two classifiers of its own, or together=True for
                one that answers with all finalists' conditions.

        Raises:
            ValueError: there is no such attack, or the model has not forgotten that label.
        """
        who = self._identify(model, label)
        settings = ATTACKS.settings(name, AttackConfig, self.profile, **changes)
        judge, surrogates = self.lab.judge(), self._surrogates(settings)

        def make() -> Tensors:
            task = AttackTask(
                model,
                judge,
                label,
                self.lab.data.of(label, settings.real),
                self.perceptual,
                settings,
                list(surrogates.values()),
                self.maker.seed_of(f"recovery-{label}") + settings.draw,
            )
            found = ATTACKS[name].recover(task)
            best = {"start": torch.tensor(found.start), "objective": torch.tensor(found.objective)}
            return {"c": found.c, "z": found.z} | prefixed("history.", found.history) | best

        kept = self.maker.measured(
            f"attack-{name}-{label}-{who.name}",
            ATTACKS.version(name),
            settings.shaping()
            | self.maker.names(who, judge=judge, **surrogates)
            | {"embedding": self.perceptual.name},
            make,
        )
        return Recovered(
            c=kept["c"].to(self.lab.device),
            z=kept["z"].to(self.lab.device),
            start=int(kept["start"]),
            objective=float(kept["objective"]),
            history=under("history.", kept),
        )

    def _surrogates(self, settings: AttackConfig) -> dict[str, RefereeCNN]:
        """An attacker's own classifiers, by name."""
        return {f"surrogate-{k}": self.lab.surrogate(k) for k in range(settings.surrogates)}

    def images(self, model: Any, label: int, way: str = LABEL, **changes: Any) -> Tensor:
        """Images (N, P) from fresh codes, the same for every model: under the plain label or, with
        an attack, under what it found; several conditions take turns."""
        if way == LABEL:
            self._identify(model, label)
            c = one_hot([label], self.lab.data.classes, self.lab.device)
        else:
            c = self.attack(model, label, way, **changes).c
        number = self.profile.evaluation.samples
        return recognition.fresh_images(model, c, number, self.maker.seed_of("fresh codes"))

    def verdict(self, model: Any, label: int, way: str = LABEL, **changes: Any) -> SampleMetrics:
        """What judge and panel say of `images`, how diverse they are and how far from real."""
        who = self._identify(model, label)
        judge, panel, embedding = self.lab.judge(), self.lab.panel, self.perceptual
        shaped_by = self.profile.evaluation.shaping()
        shaped_by |= self.maker.names(who, judge=judge, panel=panel)
        shaped_by |= {"embedding": embedding.name}
        version: int | str = recognition.VERSION
        if way != LABEL:
            settings = ATTACKS.settings(way, AttackConfig, self.profile, **changes)
            shaped_by |= {"attack": settings.shaping()}
            shaped_by |= self.maker.names(who, **self._surrogates(settings))
            version = f"{version}-{ATTACKS.version(way)}"

        def make() -> Tensors:
            images = self.images(model, label, way, **changes)
            real = self.lab.data.of(label, test=True)
            seen = recognition.evaluate_samples(images, label, judge, panel, embedding, real)
            return dict(vars(seen))

        name = f"verdict-{way}-{label}-{who.name}"
        return SampleMetrics(**self.maker.measured(name, version, shaped_by, make, SampleMetrics))

    # --- metrics ---------------------------------------------------------------------------------

    def metric(
        self,
        model: Any,
        label: int,
        name: str,
        forget: Iterable[int] | str | None = None,
        **changes: Any,
    ) -> Tensor:
        """A metric's values for a model and a label that it has forgotten.

        Args:
            name: one of `metrics.METRICS`.
            forget: the whole forget set of a model that the lab does not know; by default the
                label alone, and () where it has forgotten nothing.
            changes: settings of the metric that differ from the profile's.
        """
        who = self._identify(model, label)
        settings = METRICS.settings(name, Config, self.profile, **changes)
        whole = who.forget or ()
        if not whole and forget != ():
            whole = forget_set([label] if forget is None else forget, self.lab.data.classes)
        judge, panel = self.lab.judge(), self.lab.panel

        def make() -> Tensors:
            task = MetricTask(
                model=model,
                name=who.name,
                label=label,
                forget=whole,
                data=self.lab.data,
                judge=judge,
                panel=panel,
                settings=settings,
                seed_of=self.maker.seed_of,
            )
            return {"values": METRICS[name].measure(task)}

        shaped_by = settings.shaping() | {"label": label, "forget": list(whole)}
        shaped_by |= self.maker.names(who, judge=judge, panel=panel)
        return self.maker.measured(
            f"{name}-{label}-{who.name}", METRICS.version(name), shaped_by, make
        )["values"]

    def samples(self, model: Any, per_label: int | None = None) -> Tensor:
        """Images (classes, per_label, P) of every label, from the lab's own codes."""
        number = self.profile.evaluation.samples if per_label is None else per_label
        seed = self.maker.seed_of("samples")
        return recognition.samples(model, count("per_label", number), seed, self.lab.device)

    def scores(self, model: Any) -> Scores:
        """Judge and panel on the model's samples of every label."""
        judge, panel, data = self.lab.judge(), self.lab.panel, self.lab.data
        who = identify(model, self.lab.device)

        def make() -> Tensors:
            real, labels = pixels(data.test_images), data.test_labels
            return dict(vars(recognition.score(self.samples(model), judge, panel, real, labels)))

        shaped_by = self.profile.evaluation.shaping()
        shaped_by |= self.maker.names(who, judge=judge, panel=panel)
        name = f"scores-{who.name}"
        return Scores(**self.maker.measured(name, recognition.VERSION, shaped_by, make, Scores))

    def export_samples(self, model: Any, name: str, per_label: int | None = None) -> Path:
        """Samples as PNG files, build/samples/NAME/LABEL/0000.png, for other evaluators."""
        from ..figures import png

        folder = self.lab.store.folder / "build" / "samples" / checks.file_name(name)
        fresh = folder.with_name(f".{folder.name}")
        shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
        for label, images in enumerate(self.samples(model, per_label)):
            for i, image in enumerate(images):
                write_bytes(fresh / str(label) / f"{i:04d}.png", png(image))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        return folder

    # --- what all of them share ------------------------------------------------------------------

    def _identify(self, model: Any, label: int) -> Identity:
        """The model's identity, if the label is one that it forgot (or it forgot none that is
        known).

        Raises:
            TypeError: the model lacks the decoder's interface.
            ValueError: it has not forgotten that label.
        """
        checks.decoder(model)
        checks.label(label, self.lab.data.classes)
        who = identify(model, self.lab.device)
        if who.forget is not None and label not in who.forget:
            raise ValueError(
                f"{who.name} has not forgotten {label}: attack and audit it for "
                f"{' or '.join(map(str, who.forget))}"
            )
        return who
