"""The panel of a lab: its members are stages, and what they say of images is asked here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from ..config import Config
from ..data.dataset import pixels
from ..models.cvae import OneHotCVAE, one_hot
from ..referees import MEMBERS, adversarial
from ..referees.cnn import RefereeCNN
from ..referees.panel import VERSION, Member, Panel, least_scores
from ..referees.task import MemberTask
from ..storage.stage import Stage, Tensors
from ..storage.store import SnapshotStore
from ..training.augment import hard_negatives
from ..training.random import seeded
from .networks import Networks

KEPT = 0.99  # of real images, sharp or redrawn, that are near enough by a distance
VALIDATION = 12  # one in so many training images is kept from the members, for thresholds


class PanelMaker:
    """Trains the members, apart from one another and from every CVAE, and sets the threshold of
    those whose scores are distances (`GATED`) on real images that none of them learned from: sharp,
    and as the original redraws them."""

    def __init__(self, lab: Networks) -> None:
        self.lab, self.maker = lab, lab._maker

    def panel(self) -> Panel:
        """The panel."""
        original = self.lab.cvae()
        stages = {name: self._stage(name)[0] for name in MEMBERS}
        shaped_by: dict[str, Any] = {name: stage.key for name, stage in stages.items()}
        shaped_by |= {"original": original.facts["name"], "kept": KEPT}
        members = {
            MEMBERS.title(name): cache(partial(self._member, name, original)) for name in MEMBERS
        }
        x = self.lab.data.train_images
        facts = {"name": Stage("panel", VERSION, shaped_by).key}
        return Panel(members, x.shape[1], self.lab.data.classes, cache(self._quick), facts)

    def train(self, names: Iterable[str] = MEMBERS) -> None:
        """Train those members that are not there yet; this needs no CVAE."""
        for name in names:
            self._learned(name)

    def _quick(self) -> RefereeCNN:
        """The network of the adversarially trained CNN."""
        learned, facts = self._learned("adversarial")
        model = adversarial.network(learned)
        model.facts = facts
        return model

    def _stage(self, name: str) -> tuple[Stage, Any]:
        """A member's stage, and its settings."""
        settings = MEMBERS.settings(name, Config, self.lab.profile)
        learns_from = asdict(self.lab.profile.panel) | {"validation": VALIDATION}
        of = {"seed": self.lab.seed, "dataset": self.maker.dataset}
        shaped_by = settings.shaping() | learns_from | of
        return Stage(f"member-{name}", MEMBERS.version(name), shaped_by), settings

    def _learned(self, name: str) -> tuple[Tensors, dict[str, Any]]:
        """What a member has learned, and facts of it."""
        stage, settings = self._stage(name)

        def make(snapshots: SnapshotStore) -> tuple[Tensors, dict[str, Any]]:
            task = self._task(settings, self.maker.seed_of(stage.name), snapshots)
            started = time.perf_counter()
            with torch.enable_grad():  # whoever asks first may differentiate nothing
                learned = MEMBERS[name].fit(task)
            return learned, {"seconds": time.perf_counter() - started}

        kept, facts = self.maker.finish(stage, make)
        return {k: v.to(self.lab.device) for k, v in kept.items()}, facts

    def _member(self, name: str, original: OneHotCVAE) -> Member:
        learned, facts = self._learned(name)
        classes, scores = self.lab.data.classes, MEMBERS[name].scorer(learned)
        if not getattr(MEMBERS[name], "GATED", False):
            return Member(scores, torch.zeros(classes, device=self.lab.device))

        def thresholds() -> Tensors:
            x, y = self._half(validation=True)
            with torch.no_grad():
                conditions = one_hot(y, classes, x.device)
                redrawn = original.decode(original.encode(x, conditions)[0], conditions)
            return {"least": least_scores(scores, [(x, y), (redrawn, y)], classes, KEPT)}

        shaped_by = {"member": facts["name"], "original": original.facts["name"], "kept": KEPT}
        found = self.maker.measured(f"least-{name}", VERSION, shaped_by, thresholds)
        return Member(scores, found["least"].to(self.lab.device))

    def _half(self, *, validation: bool) -> tuple[Tensor, Tensor]:
        """Training images (N, P) in [0, 1] and labels: to learn from, or to set thresholds on."""
        data, some = self.lab.data, slice(self.lab.profile.panel.images or None)
        images, labels = data.train_images[some], data.train_labels[some]
        rows = torch.arange(len(labels), device=self.lab.device)
        chosen = (rows % VALIDATION == 0) == validation
        return pixels(images[chosen]), labels[chosen]

    def _task(self, settings: Any, seed: int, snapshots: SnapshotStore) -> MemberTask:
        x, y = self._half(validation=False)
        count = min(self.lab.profile.panel.negatives, len(x))
        with seeded(seed, self.lab.device):
            none = hard_negatives(x[:count], y[:count], count)
        return MemberTask(x, y, none, self.lab.data.classes, settings, seed, snapshots)
