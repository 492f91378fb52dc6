"""The panel of a lab: its members are stages, and what they say of images is asked here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..config import Config
from ..data.dataset import pixels
from ..models.cvae import one_hot
from ..referees import MEMBERS
from ..referees.panel import VERSION, Member, Panel, least_scores
from ..referees.task import MemberTask, Scorer
from ..storage.stage import Stage, Tensors
from ..storage.store import SnapshotStore
from ..training.augment import hard_negatives
from ..training.random import seeded
from .networks import Networks

KEPT = 0.99  # of real images, sharp or redrawn, that each member takes for their class
VALIDATION = 12  # one in so many training images only sets thresholds
NEGATIVES = 6000  # images of none of the classes


class PanelMaker:
    """Trains the members, apart from one another and from every CVAE, and sets their thresholds on
    real images that none of them learned from: sharp, and as the original redraws them."""

    def __init__(self, lab: Networks) -> None:
        self.lab, self.maker = lab, lab._maker

    def panel(self) -> Panel:
        """The panel."""
        members = {MEMBERS.title(name): self._member(name) for name in MEMBERS}
        return Panel(members, self.lab.data.train_images.shape[1])

    def _member(self, name: str) -> Member:
        settings = MEMBERS.settings(name, Config, self.lab.profile)
        learns_from = {"validation": VALIDATION, "negatives": NEGATIVES, "seed": self.lab.seed}
        shaped_by = settings.shaping() | learns_from | {"dataset": self.maker.dataset}
        stage = Stage(f"member-{name}", MEMBERS.version(name), shaped_by)

        def make(snapshots: SnapshotStore) -> tuple[Tensors, dict[str, Any]]:
            task = self._task(settings, self.maker.seed_of(stage.name), snapshots)
            return MEMBERS[name].fit(task), {}

        kept, _ = self.maker.finish(stage, make)
        scores: Scorer = MEMBERS[name].scorer({k: v.to(self.lab.device) for k, v in kept.items()})
        original = self.lab.cvae()

        def thresholds() -> Tensors:
            x, y = self._half(validation=True)
            with torch.no_grad():
                conditions = one_hot(y, self.lab.data.classes, x.device)
                redrawn = original.decode(original.encode(x, conditions)[0], conditions)
            sets = [(x, y), (redrawn, y)]
            return {"least": least_scores(scores, sets, self.lab.data.classes, KEPT)}

        shaped_by = {"member": stage.key, "original": original.facts["name"], "kept": KEPT}
        found = self.maker.measured(f"least-{name}", VERSION, shaped_by, thresholds)
        return Member(scores, found["least"].to(self.lab.device))

    def _half(self, *, validation: bool) -> tuple[Tensor, Tensor]:
        """Training images (N, P) in [0, 1] and labels: to learn from, or to set thresholds on."""
        data = self.lab.data
        rows = torch.arange(len(data.train_labels), device=self.lab.device)
        chosen = (rows % VALIDATION == 0) == validation
        return pixels(data.train_images[chosen]), data.train_labels[chosen]

    def _task(self, settings: Any, seed: int, snapshots: SnapshotStore) -> MemberTask:
        x, y = self._half(validation=False)
        count = min(NEGATIVES, len(x))
        with seeded(seed, self.lab.device):
            none = hard_negatives(x[:count], y[:count], count)
        return MemberTask(x, y, none, self.lab.data.classes, settings, seed, snapshots)
