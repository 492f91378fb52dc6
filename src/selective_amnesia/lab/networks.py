"""How the lab makes a stage: named, kept, and loaded again as what it was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..config import Config, FisherConfig, FitConfig, Profile
from ..data.dataset import Dataset
from ..errors import LabError
from ..forgetting import fisher
from ..forgetting.task import Make, Part
from ..models.classifiers import Judge
from ..models.cvae import OneHotCVAE
from ..referees.cnn import RefereeCNN
from ..referees.panel import Panel
from ..storage.stage import Stage, Tensors, prefixed, under
from ..storage.store import SnapshotStore, Store
from ..training.loop import MEMORY, precision
from ..training.random import seeded
from .identity import Identity, hash_of

Trained = tuple[nn.Module, Tensors, dict[str, Any]]  # a network, its history, facts


class FisherDiagonal(dict[str, Tensor]):
    """A Fisher diagonal by parameter name; `facts` say how it was made."""

    facts: dict[str, Any]


@dataclass(frozen=True)
class Maker:
    """Makes the stages of one seed and data set, on one device, in a store."""

    store: Store
    seed: int
    dataset: str
    device: torch.device

    def seed_of(self, name: str) -> int:
        """The seed of a stage: its own, derived from the lab's."""
        return int(hashlib.sha256(f"{self.seed} {name}".encode()).hexdigest()[:8], 16)

    def fixed_codes(self, count: int, z_dim: int) -> Tensor:
        """Codes z (count, D) for pictures: the same in every notebook of this seed."""
        with seeded(self.seed, self.device):
            return torch.randn(count, z_dim, device=self.device)

    def stage(
        self, name: str, version: int | str, config: Config, parents: tuple[Stage, ...] = ()
    ) -> Stage:
        """A stage by its settings; one without parents is of this seed and data set."""
        shaped_by = config.shaping()
        if not parents:
            shaped_by |= {"seed": self.seed, "dataset": self.dataset}
        return Stage(name, version, shaped_by, parents)

    def finish(
        self,
        stage: Stage,
        make: Callable[[SnapshotStore], tuple[Tensors, dict[str, Any]]],
        expects: frozenset[str] = frozenset(),
    ) -> tuple[Tensors, dict[str, Any]]:
        """Tensors and facts of a stage, made where it is not there, or lacks a tensor that is
        expected.

        Raises:
            LabError: the GPU has no memory left.
        """

        def guarded(snapshots: SnapshotStore) -> tuple[Tensors, dict[str, Any]]:
            try:
                return make(snapshots)
            except torch.OutOfMemoryError as error:
                raise LabError(f"{stage.name}: the GPU ran out of memory. {MEMORY}") from error

        found = self.store.finish(stage, guarded, lambda kept: expects <= kept.tensors.keys())
        return found.tensors, found.facts

    def network(
        self,
        stage: Stage,
        config: FitConfig,
        make: Callable[[SnapshotStore], Trained],
        blank: Callable[[], nn.Module],
    ) -> Any:
        """A trained network, with its `history` (tensors by name) and `facts` attached."""

        def as_stored(snapshots: SnapshotStore) -> tuple[Tensors, dict[str, Any]]:
            model, history, facts = make(snapshots)
            seconds = float(history.pop("seconds"))
            tensors = prefixed("model.", model.state_dict()) | prefixed("history.", history)
            facts |= {"precision": precision(config, self.device), "seconds": seconds}
            return tensors, facts

        tensors, facts = self.finish(stage, as_stored)
        model: Any = blank().to(self.device)
        model.load_state_dict(under("model.", tensors))
        model.eval()
        model.history = under("history.", tensors)
        model.facts = facts | {"weights": hash_of(model)}
        return model

    def measured(
        self,
        name: str,
        version: int | str,
        shaped_by: dict[str, Any],
        make: Callable[[], Tensors],
        holds: type | None = None,
    ) -> Tensors:
        """What was measured, by name; measured anew where a field of `holds` is missing."""
        stage = Stage(name, version, shaped_by | {"seed": self.seed, "dataset": self.dataset})
        expects = frozenset(f.name for f in fields(holds)) if holds is not None else frozenset()
        return self.finish(stage, lambda _snapshots: (make(), {}), expects)[0]

    def names(self, who: Identity, **networks: nn.Module | Panel) -> dict[str, Any]:
        """The names of what a measurement is of and by, for its key."""
        facts: dict[str, Any] = {role: net.facts["name"] for role, net in networks.items()}  # type: ignore[index]
        return facts | {"model": who.key}

    def part(self, name: str, parents: tuple[Stage, ...]) -> Part:
        """What keeps, as stages of their own, what a method prepares for long."""

        def kept(of: str, version: int, settings: Config, make: Make) -> Tensors:
            stage = self.stage(f"{name}-{of}", version, settings, parents)
            tensors, _ = self.finish(stage, lambda snapshots: (make(snapshots), {}))
            return {k: t.to(self.device) for k, t in tensors.items()}

        return kept

    def fisher(
        self, stage: Stage, load: Callable[[], OneHotCVAE], config: FisherConfig
    ) -> FisherDiagonal:
        """The Fisher diagonal of a model, which is loaded where it has to be made."""

        def make(_snapshots: SnapshotStore) -> tuple[Tensors, dict[str, Any]]:
            model = load()
            started = time.perf_counter()
            diagonal = fisher.fisher_diagonal(model, config, self.seed_of(stage.name))
            # of a GPU too, which the first look at a value waits for
            float(next(iter(diagonal.values())).flatten()[0])
            seconds = time.perf_counter() - started
            facts = {"samples": config.samples, "seconds": seconds, "order": list(diagonal)}
            return diagonal, facts

        tensors, facts = self.finish(stage, make)
        ordered = sorted(tensors, key=facts["order"].index)
        found = FisherDiagonal({name: tensors[name].to(self.device) for name in ordered})
        found.facts = facts
        return found


class Networks(Protocol):
    """What `Measurements` and `LatentViews` need of a lab."""

    profile: Profile
    seed: int
    store: Store
    device: torch.device

    @property
    def _maker(self) -> Maker: ...

    @property
    def data(self) -> Dataset: ...

    def cvae(self) -> OneHotCVAE: ...

    def judge(self) -> Judge: ...

    @property
    def panel(self) -> Panel: ...

    def surrogate(self, number: int) -> RefereeCNN: ...
