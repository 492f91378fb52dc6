"""The lab: every network by name, and what it needs.

    lab = Lab.open(profile="fast")
    amnesiac = lab.amnesiac(forget={0})

Asking for a stage is enough. It is loaded if it is finished, resumed if it was begun, and made
otherwise, together with what it needs. `lab.measure` asks the same way what is left in a model.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from .. import checks, forgetting
from ..config import ForgetConfig, Profile
from ..data import DATASETS, key, load
from ..data.dataset import Dataset
from ..forgetting import fisher
from ..models.classifiers import Judge
from ..models.cvae import OneHotCVAE
from ..profiles import get_profile
from ..referees import cnn
from ..referees.panel import Panel
from ..storage.files import write_bytes
from ..storage.home import home, mirror_url
from ..storage.mirror import Mirror
from ..storage.stage import Stage
from ..storage.store import SnapshotStore, Store
from ..training import classifiers, cvae
from .measurements import Measurements
from .networks import FisherDiagonal, Maker, Trained
from .panel import PanelMaker
from .views import LatentViews

FRAME_CODES = 8  # codes per label in the pictures kept along a training


class Lab:
    """All stages of one profile, seed and data set, kept in one store.

    Networks, Fisher diagonals, images, codes and conditions are on the lab's device; what was
    measured, and every history, is on the CPU, ready for tables and figures.
    """

    def __init__(
        self, profile: Profile, seed: int, dataset: str, store: Store, device: torch.device
    ) -> None:
        self.profile, self.seed, self._dataset = profile, seed, dataset
        self.store, self.device = store, device

    @classmethod
    def open(
        cls,
        profile: str = "fast",
        seed: int = 0,
        dataset: str = "mnist",
        folder: Path | str | None = None,
        device: str | None = None,
        mirror: str | None = None,
    ) -> Lab:
        """Open the lab in `folder`, on the GPU where there is one.

        Args:
            folder: where it keeps its files; see `storage.home.home` for the default.
            mirror: where finished work follows to, a folder or any fsspec URL; see
                `storage.home.mirror_url` for the default.

        Raises:
            ValueError: the profile, seed, data set, device or mirror does not exist.
            LabError: the folder cannot be written.
        """
        chosen = get_profile(profile)
        checks.seed(seed)
        DATASETS[dataset]
        on = checks.device(device)
        place = Path(folder).absolute() if folder is not None else home()
        url = mirror if mirror is not None else mirror_url()
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        about = {"device": str(on), "versions": versions}
        store = Store(place, Mirror(url) if url else None, about)
        return cls(chosen, seed, dataset, store, on)

    def __repr__(self) -> str:
        kept = os.path.relpath(Path(str(self.store), "checkpoints"))  # it may be gone
        follow = f", and follow to {self.store.mirror}" if self.store.mirror else ""
        about = f"profile {self.profile.name}, seed {self.seed}, {self._dataset}, on {self.device}"
        return f"{about}; finished stages are kept in {kept}{follow}"

    @cached_property
    def data(self) -> Dataset:
        """The images, on the device; fetched on first use, which says from where."""
        data = load(self._dataset, self.store.folder / "data", self.device)
        print(data)
        return data

    @cached_property
    def measure(self) -> Measurements:
        """What is asked of models: attacks, metrics, scores; each kept."""
        return Measurements(self)

    @cached_property
    def latent(self) -> LatentViews:
        """Where models put their codes: encodings, pages, radii."""
        return LatentViews(self)

    def variant(self, seed: int | None = None, **changes: Any) -> Lab:
        """The same lab with another seed, or another CVAE, e.g. z_dim=2, and all that follows."""
        profile = replace(self.profile, cvae=replace(self.profile.cvae, **changes))
        chosen = self.seed if seed is None else checks.seed(seed)
        other = type(self)(profile, chosen, self._dataset, self.store, self.device)
        other.__dict__["data"] = self.data  # read once
        return other

    # --- classifiers -----------------------------------------------------------------------------

    def judge(self) -> Judge:
        """The paper's classifier."""
        config, seed = self.profile.judge, self._maker.seed_of("judge")
        judge: Judge = self._maker.network(
            self._maker.stage("judge", classifiers.VERSION, config),
            config,
            lambda s: classifiers.train_judge(self.data, config, seed=seed, snapshots=s),
            lambda: Judge(self.data.classes),
        )
        return judge

    @cached_property
    def panel(self) -> Panel:
        """Classifiers of different kinds that vote on what a picture shows; nothing ever
        differentiates through them."""
        return PanelMaker(self).panel()

    def surrogate(self, number: int) -> cnn.RefereeCNN:
        """A classifier of an attacker's own, each from a seed of its own."""
        checks.count("number", number, 0)
        name, config = f"surrogate-{number}", self.profile.surrogate
        # the seed's name is the first edition's, so that its figures come out again
        seed = self._maker.seed_of(f"critic-{number}")
        surrogate: cnn.RefereeCNN = self._maker.network(
            self._maker.stage(name, cnn.VERSION, config),
            config,
            lambda s: cnn.train_referee(self.data, config, seed=seed, label=name, snapshots=s),
            lambda: cnn.RefereeCNN(self.data.classes, config.width, config.features),
        )
        return surrogate

    # --- original, control, amnesiac -------------------------------------------------------------

    def cvae(self) -> OneHotCVAE:
        """The original: trained on all labels."""
        return self._cvae("cvae", (), {})

    def control(self, forget: Iterable[int] | str) -> OneHotCVAE:
        """The control: the original's architecture and recipe, but it never saw those labels."""
        chosen = checks.forget_set(forget, self.data.classes)
        name = f"control-{'_'.join(map(str, chosen))}"
        return self._cvae(name, chosen, {"forget": list(chosen)})

    def _cvae(self, name: str, without: tuple[int, ...], facts: dict[str, Any]) -> OneHotCVAE:
        config = self.profile.cvae

        def make(snapshots: SnapshotStore) -> Trained:
            label = "control without " + " ".join(map(str, without)) if without else "CVAE"
            model, history, figures = cvae.train_cvae(
                self.data,
                config,
                seed=self._maker.seed_of(name),
                without=without,
                label=label,
                frames_z=self._maker.fixed_codes(FRAME_CODES, config.z_dim),
                snapshots=snapshots,
            )
            return model, history, figures | facts

        stage = self._maker.stage(name, cvae.VERSION, config)
        model: OneHotCVAE = self._maker.network(stage, config, make, self._blank_cvae)
        return model

    def trio(self, forget: Iterable[int] | str) -> dict[str, OneHotCVAE]:
        """Original, amnesiac and control of a forget set, by name."""
        amnesiac, control = self.amnesiac(forget), self.control(forget)
        return {"original": self.cvae(), "amnesiac": amnesiac, "control": control}

    def fisher(self) -> FisherDiagonal:
        """The original's Fisher diagonal by parameter name."""
        return self._maker.fisher(self._fisher_stage, self.cvae, self.profile.fisher)

    def amnesiac(
        self, forget: Iterable[int] | str, method: str = "selective_amnesia", **changes: Any
    ) -> OneHotCVAE:
        """The original after forgetting those labels.

        Args:
            method: one of `forgetting.METHODS`.
            changes: settings of the method that differ from the profile's, e.g. lam=0.
        """
        chosen = checks.forget_set(forget, self.data.classes)
        settings = forgetting.METHODS.settings(method, ForgetConfig, self.profile, **changes)
        kind = "amnesiac" if method == "selective_amnesia" else method
        name = f"{kind}-{'_'.join(map(str, chosen))}"
        parents = self._cvae_stage, self._fisher_stage

        def make(snapshots: SnapshotStore) -> Trained:
            model, history = forgetting.forget(
                method,
                self.cvae(),
                self.fisher(),
                chosen,
                settings,
                seed=self._maker.seed_of(name),
                data=self.data,
                frames_z=self._maker.fixed_codes(FRAME_CODES, self.profile.cvae.z_dim),
                snapshots=snapshots,
                part=self._maker.part(name, parents),
                control=self.control,
            )
            facts = {"forget": list(chosen), "method": method, "steps": settings.steps}
            return model, history, facts

        stage = self._maker.stage(name, forgetting.version(method), settings, parents)
        model: OneHotCVAE = self._maker.network(stage, settings, make, self._blank_cvae)
        return model

    def sequence(self, rounds: int | None = None) -> list[OneHotCVAE]:
        """Labels 0, 1, 2, ... forgotten one after another, each round from the model before it.

        Round k takes the Fisher diagonal of the model that round k - 1 left and rehearses the
        labels still known. This is the only place where an amnesiac starts from an amnesiac.
        """
        rounds = self.profile.sequence_rounds if rounds is None else checks.count("rounds", rounds)
        if rounds >= self.data.classes:
            raise ValueError(f"rounds is {rounds}: use 1 to {self.data.classes - 1}")
        models: list[OneHotCVAE] = []
        stage = self._cvae_stage
        for label in range(rounds):
            model, stage = self._sequence_round(label, stage, models[-1] if models else None)
            models.append(model)
        return models

    def _sequence_round(
        self, label: int, parent: Stage, before: OneHotCVAE | None
    ) -> tuple[OneHotCVAE, Stage]:
        settings, samples = self.profile.sequence, self.profile.sequence_fisher
        method, name = "selective_amnesia", f"sequence-{label}"
        fisher_stage = self._maker.stage(f"{name}-fisher", fisher.VERSION, samples, (parent,))
        parents = parent, fisher_stage
        stage = self._maker.stage(name, forgetting.version(method), settings, parents)

        def make(snapshots: SnapshotStore) -> Trained:
            previous = self.cvae() if before is None else before
            model, history = forgetting.forget(
                method,
                previous,
                self._maker.fisher(fisher_stage, lambda: previous, samples),
                (label,),
                settings,
                forgotten=range(label),
                seed=self._maker.seed_of(name),
                snapshots=snapshots,
            )
            return model, history, {"forget": list(range(label + 1)), "steps": settings.steps}

        return self._maker.network(stage, settings, make, self._blank_cvae), stage

    # --- what several stages share ---------------------------------------------------------------

    @cached_property
    def _maker(self) -> Maker:
        return Maker(self.store, self.seed, key(self._dataset), self.device)

    @property
    def _cvae_stage(self) -> Stage:
        return self._maker.stage("cvae", cvae.VERSION, self.profile.cvae)

    @property
    def _fisher_stage(self) -> Stage:
        config = self.profile.fisher
        return self._maker.stage("fisher", fisher.VERSION, config, (self._cvae_stage,))

    def _blank_cvae(self) -> OneHotCVAE:
        return cvae.untrained(self.data, self.profile.cvae)

    def show(self, figure: Any, name: str, alt: str = "") -> Any:
        """Save a figure as figures/NAME.png (.gif if it moves) and return what displays it, with
        `alt`, what it shows in words."""
        from ..figures import render  # matplotlib is loaded by whoever draws

        suffix, content, display = render(figure, alt)
        write_bytes(self.store.folder / "figures" / f"{checks.file_name(name)}{suffix}", content)
        return display
