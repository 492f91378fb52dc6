"""The networks of a lab: judge, referee, original, controls, amnesiacs, and the Fisher diagonal.

Each is a stage: loaded if it is finished, resumed if it was begun, and made otherwise, together
with what it needs (`stages.py` says how it is kept).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from . import checkpoint, forgetting, recipes
from .config import RefereeConfig, forget_set
from .config import count as whole
from .fisher import fisher_diagonal
from .models import Judge, OneHotCVAE, Referee
from .stages import Stage, Stages, Trained
from .training import Keeper, Tensors, seeded

__all__ = ["Networks"]

Own = TypeVar("Own", bound="Networks")

FRAME_CODES = 8  # codes per digit in the pictures kept along a training


class Networks(Stages):
    """The trained networks of one profile, seed and data set."""

    # --- what the stages are made from -----------------------------------------------------------

    @property
    def classes(self) -> int:
        """The number of digits."""
        return self.data.classes

    def codes(self, count: int) -> Tensor:
        """Fixed codes z (count, D) for pictures: the same in every notebook of this seed."""
        whole("count", count)
        with seeded(self.seed, self.device):
            return torch.randn(count, self.profile.cvae.z_dim, device=self.device)

    def variant(self: Own, **changes: Any) -> Own:
        """The same lab with another CVAE, e.g. z_dim=2, and all that follows from it."""
        chosen = replace(self.profile, cvae=replace(self.profile.cvae, **changes))
        return type(self)(chosen, self.seed, self.dataset, self._folder, self.device)

    # --- stages ----------------------------------------------------------------------------------

    def judge(self) -> Judge:
        """The paper's classifier."""
        config = self.profile.judge
        stage = self._stage("judge", config)

        def make(keeper: Keeper) -> Trained:
            return recipes.train_judge(self.data, config, seed=self.seed_of("judge"), keeper=keeper)

        return self._network(stage, make, lambda: Judge(self.classes))

    def referee(self) -> Referee:
        """The independent classifier; nothing is ever optimised against it."""
        return self._referee("referee", self.profile.referee)

    def critic(self, number: int) -> Referee:
        """A classifier of the attacker's own: of the referee's shape, schooled alike but for less
        long, another network from a seed of its own."""
        return self._referee(f"critic-{whole('number', number, 0)}", self.profile.critic)

    def _referee(self, name: str, config: RefereeConfig) -> Referee:
        def make(keeper: Keeper) -> Trained:
            seed = self.seed_of(name)
            return recipes.train_referee(self.data, config, seed=seed, label=name, keeper=keeper)

        return self._network(
            self._stage(name, config),
            make,
            lambda: Referee(self.classes, config.width, config.features),
        )

    def cvae(self) -> OneHotCVAE:
        """The original: trained on all digits."""

        def make(keeper: Keeper) -> Trained:
            return self._cvaes([(self, "cvae")], [()], "CVAE", keeper)[0]

        return self._network(self._cvae_stage, make, self._blank_cvae)

    def control(self, forget: Iterable[int] | str) -> OneHotCVAE:
        """The control: the original's architecture and recipe, but it never saw those digits."""
        return self.controls([forget])[0]

    def controls(self, forget_sets: Iterable[Iterable[int] | str]) -> list[OneHotCVAE]:
        """The controls of several forget sets; those that are missing are trained side by side."""
        sets = [forget_set(forget, self.classes) for forget in forget_sets]
        names = [f"control-{'_'.join(map(str, forget))}" for forget in sets]

        def make(places: Sequence[int], keeper: Keeper) -> list[Trained]:
            chosen = [sets[i] for i in places]
            label = "control without " + ", ".join(" ".join(map(str, s)) for s in chosen)
            trained = self._cvaes([(self, names[i]) for i in places], chosen, label, keeper)
            return [
                (model, history, {**facts, "forget": list(forget)})
                for (model, history, facts), forget in zip(trained, chosen, strict=True)
            ]

        stages = [self._stage(name, self.profile.cvae) for name in names]
        return self._networks(stages, make, self._blank_cvae)

    def _cvaes(
        self,
        stages: Sequence[tuple[Networks, str]],
        without: Sequence[Iterable[int]],
        label: str,
        keeper: Keeper,
    ) -> list[Trained]:
        """A CVAE for each of these stages, each a lab and the stage's name there."""
        return recipes.train_cvaes(
            self.data,
            self.profile.cvae,
            seeds=[lab.seed_of(name) for lab, name in stages],
            without=without,
            label=label,
            frames_z=[lab.codes(FRAME_CODES) for lab, _ in stages],
            keeper=keeper,
        )

    def siblings(self: Own, seeds: Iterable[int]) -> list[Own]:
        """The same lab with those seeds; originals that are missing are trained side by side."""
        labs = [
            type(self)(
                self.profile, whole("seed", seed, 0), self.dataset, self._folder, self.device
            )
            for seed in seeds
        ]
        for lab in labs:
            lab.data = self.data  # read once

        def make(places: Sequence[int], keeper: Keeper) -> list[Trained]:
            chosen = [labs[i] for i in places]
            label = "CVAE of seeds " + ", ".join(str(lab.seed) for lab in chosen)
            named = [(lab, "cvae") for lab in chosen]
            return self._cvaes(named, [()] * len(chosen), label, keeper)

        self._networks([lab._cvae_stage for lab in labs], make, self._blank_cvae)
        return labs

    def fisher(self) -> Tensors:
        """The original's Fisher diagonal by parameter name."""
        return self._fisher(self._fisher_stage, self.cvae, self.profile.fisher)

    def fisher_facts(self) -> dict[str, Any]:
        """How the Fisher diagonal was made: samples, seconds, date, versions."""
        self.fisher()
        return checkpoint.read(self._path(self._fisher_stage)).facts

    def amnesiac(
        self, forget: Iterable[int] | str, method: str = "selective_amnesia", **changes: Any
    ) -> OneHotCVAE:
        """The original after forgetting those digits.

        Args:
            method: one of `forgetting.METHODS`.
            changes: settings of the method that differ from the profile's, e.g. lam=0.
        """
        return self.amnesiacs([forget], method, **changes)[0]

    def amnesiacs(
        self,
        forget_sets: Iterable[Iterable[int] | str],
        method: str = "selective_amnesia",
        **changes: Any,
    ) -> list[OneHotCVAE]:
        """The amnesiacs of several forget sets; those that are missing are made side by side."""
        sets = [forget_set(forget, self.classes) for forget in forget_sets]
        config = forgetting.settings(method, self.profile.forget, **changes)
        kind = "amnesiac" if method == "selective_amnesia" else method
        names = [f"{kind}-{'_'.join(map(str, forget))}" for forget in sets]

        def make(places: Sequence[int], keeper: Keeper) -> list[Trained]:
            chosen = [sets[i] for i in places]
            made = forgetting.forget(
                method,
                self.cvae(),
                self.fisher(),
                chosen,
                config,
                seeds=[self.seed_of(names[i]) for i in places],
                data=self.data,
                frames_z=self.codes(FRAME_CODES),
                keeper=keeper,
            )
            return [
                (model, history, {"forget": list(forget), "method": method, "steps": config.steps})
                for (model, history), forget in zip(made, chosen, strict=True)
            ]

        parents = (self._cvae_stage, self._fisher_stage)
        stages = [self._stage(name, config, parents) for name in names]
        return self._networks(stages, make, self._blank_cvae)

    def sequence(self, rounds: int | None = None) -> list[OneHotCVAE]:
        """Digits 0, 1, 2, ... forgotten one after another, each round from the model before it.

        Round k takes the Fisher diagonal of the model that round k - 1 left and rehearses the
        digits still known. This is the only place where an amnesiac starts from an amnesiac.
        """
        rounds = self.profile.sequence_rounds if rounds is None else rounds
        if not 1 <= whole("rounds", rounds) < self.classes:
            raise ValueError(f"rounds is {rounds}: use 1 to {self.classes - 1}")
        models: list[OneHotCVAE] = []
        stage, load_previous = self._cvae_stage, self.cvae
        for digit in range(rounds):
            model, stage = self._sequence_round(digit, stage, load_previous)
            models.append(model)
            load_previous = lambda model=model: model  # noqa: E731
        return models

    def _sequence_round(
        self, digit: int, parent: Stage, load_previous: Callable[[], OneHotCVAE]
    ) -> tuple[OneHotCVAE, Stage]:
        config, fisher_config = self.profile.sequence, self.profile.sequence_fisher
        name = f"sequence-{digit}"
        fisher_stage = self._stage(f"{name}-fisher", fisher_config, (parent,))
        stage = self._stage(name, config, (parent, fisher_stage))

        def make(keeper: Keeper) -> Trained:
            previous = load_previous()
            [(model, history)] = forgetting.forget(
                "selective_amnesia",
                previous,
                self._fisher(fisher_stage, lambda: previous, fisher_config),
                [{digit}],
                config,
                forgotten=range(digit),
                seeds=[self.seed_of(name)],
                keeper=keeper,
            )
            return model, history, {"forget": list(range(digit + 1)), "steps": config.steps}

        return self._network(stage, make, self._blank_cvae), stage

    # --- what several stages share ---------------------------------------------------------------

    @property
    def _cvae_stage(self) -> Stage:
        return self._stage("cvae", self.profile.cvae)

    @property
    def _fisher_stage(self) -> Stage:
        return self._stage("fisher", self.profile.fisher, (self._cvae_stage,))

    def _blank_cvae(self) -> OneHotCVAE:
        return recipes.cvae_for(self.data, self.profile.cvae)

    def _fisher(self, stage: Stage, load_model: Callable[[], OneHotCVAE], config: Any) -> Tensors:
        def make(_keeper: Keeper) -> tuple[Tensors, dict[str, Any]]:
            model = load_model()
            started = time.perf_counter()
            fisher = fisher_diagonal(model, config, self.seed_of(stage.name))
            seconds = time.perf_counter() - started
            return fisher, {"samples": config.samples, "seconds": seconds}

        tensors = self._finish(stage, make).tensors
        names = [name for name, _ in self._blank_cvae().named_parameters()]
        return {name: tensors[name].to(self.device) for name in names}
