"""Other optimisers, schedules and beginnings for the CVAE: what 4,000 steps come to.

    OMP_NUM_THREADS=1 python benchmarks/optimisers.py             all: half an hour on one core
    OMP_NUM_THREADS=1 python benchmarks/optimisers.py Adam Lion   some

Prints the lines of the table in README.md here. Muon needs torch 2.9 or newer.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import torch
from stages import scores_of
from torch import Tensor, nn

from selective_amnesia import Lab
from selective_amnesia.config import CVAEConfig
from selective_amnesia.training.cvae import train_cvae, untrained

Adam = torch.optim.Adam
Weights = Iterable[Tensor]


class Lion(torch.optim.Optimizer):
    """Steps of one size along the sign of the momentum (Chen et al. 2023), at a tenth of the
    rate."""

    def __init__(self, weights: Weights, lr: float, **_: Any) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                p.sub_(0.1 * group["lr"] * (0.9 * momentum + 0.1 * p.grad).sign())
                momentum.lerp_(p.grad, 0.01)


class Muon(torch.optim.Optimizer):
    """The four large matrices by Muon (Jordan et al. 2024), the rest by Adam."""

    def __init__(self, weights: Weights, lr: float, betas: tuple[float, float], **_: Any) -> None:
        weights = list(weights)
        super().__init__(weights, {"lr": lr})
        large = [p for p in weights if p.ndim == 2 and min(p.shape) >= 256]
        rest = [p for p in weights if not (p.ndim == 2 and min(p.shape) >= 256)]
        like_adam = {"weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"}
        self.parts = torch.optim.Muon(large, lr, **like_adam), Adam(rest, lr, betas, fused=True)

    def step(self) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            part.step()


def averaged(weights: Weights, **settings: Any) -> torch.optim.Optimizer:
    """Adam, whose weights are, after the last step, a running mean since half way."""
    weights = list(weights)
    optimiser = Adam(weights, **settings)
    steps, mean = itertools.count(1), []

    @torch.no_grad()
    def follow(*_: Any) -> None:
        step = next(steps)
        if step == STEPS // 2:
            mean.extend(p.clone() for p in weights)
        elif step > STEPS // 2:
            torch._foreach_lerp_(mean, weights, 0.002)
        if step == STEPS:
            torch._foreach_copy_(weights, mean)

    optimiser.register_step_post_hook(follow)
    return optimiser


def adam(**changes: Any) -> Callable[..., torch.optim.Optimizer]:
    return lambda weights, **settings: Adam(weights, **settings | changes)


def adamw(decay: float, *, matrices: bool = False) -> Callable[..., torch.optim.Optimizer]:
    def make(weights: Weights, **settings: Any) -> torch.optim.Optimizer:
        weights = list(weights)
        groups = [{"params": [p for p in weights if p.ndim > 1 or not matrices]}]
        if matrices:
            groups.append({"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0})
        return torch.optim.AdamW(groups, weight_decay=decay, **settings)

    return make


def nadam(weights: Weights, lr: float, betas: tuple[float, float], **_: Any) -> Any:
    return torch.optim.NAdam(weights, lr, betas, foreach=True)


def begun(how: Callable[[nn.Linear], None]) -> Callable:
    """What makes an untrained CVAE whose linear layers begin that way."""

    def make(*arguments: Any) -> nn.Module:
        model = untrained(*arguments)
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                how(layer)
        return model

    return make


def he(share: float) -> Callable[[nn.Linear], None]:
    def how(layer: nn.Linear) -> None:
        nn.init.normal_(layer.weight, std=share * math.sqrt(2 / layer.in_features))
        nn.init.zeros_(layer.bias)

    return how


def cosine(step: int, config: CVAEConfig) -> float:
    rising = min(1.0, (step + 1) / config.warmup)
    return config.lr * rising * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def one_minus_sqrt(step: int, config: CVAEConfig) -> float:
    rising = min(1.0, (step + 1) / config.warmup)
    fallen = max(0.0, (step / config.steps - 1 + config.decay) / config.decay)
    return config.lr * rising * (1 - math.sqrt(fallen))


@dataclass(frozen=True)
class Trial:
    """What differs from profile `fast`."""

    seed: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    optimiser: Callable | None = None
    beginning: Callable | None = None
    schedule: Callable | None = None


STEPS = 4000
FEW = {"steps": 1000, "warmup": 50, "kl_warmup": 125}
TRIALS = {
    "Adam, as it is": Trial(),
    "the same, seed 1": Trial(seed=1),
    "AdamW, weight decay 0.01": Trial(optimiser=adamw(0.01)),
    "AdamW, 0.03": Trial(optimiser=adamw(0.03)),
    "AdamW, 0.1": Trial(optimiser=adamw(0.1)),
    "AdamW, 0.1, seed 1": Trial(seed=1, optimiser=adamw(0.1)),
    "AdamW, 0.1 on the matrices alone": Trial(optimiser=adamw(0.1, matrices=True)),
    "AdamW, 0.1, peak rate 5e-3": Trial(config={"lr": 5e-3}, optimiser=adamw(0.1)),
    "AdamW, 0.1, peak rate 6e-3": Trial(config={"lr": 6e-3}, optimiser=adamw(0.1)),
    "AdamW, 0.3": Trial(optimiser=adamw(0.3)),
    "NAdam": Trial(optimiser=nadam),
    "Lion, a tenth of the rate": Trial(optimiser=Lion),
    "Adam, 1,000 steps": Trial(config=FEW),
    "Muon on the four large matrices, 1,000 steps": Trial(config=FEW, optimiser=Muon),
    "first decay 0.95 for 0.9": Trial(config={"betas": (0.95, 0.99)}),
    "first decay 0.8": Trial(config={"betas": (0.8, 0.99)}),
    "epsilon 1e-12 for 1e-8": Trial(optimiser=adam(eps=1e-12)),
    "weights averaged over the second half": Trial(optimiser=averaged),
    "He's initialisation": Trial(beginning=begun(he(1.0))),
    "0.7 of it": Trial(beginning=begun(he(0.7))),
    "orthogonal initialisation": Trial(
        beginning=begun(lambda layer: nn.init.orthogonal_(layer.weight))
    ),
    "cosine for the linear decay": Trial(schedule=cosine),
    "decay by 1 - sqrt": Trial(schedule=one_minus_sqrt),
    "peak rate 5e-3, decay over 80 %": Trial(config={"lr": 5e-3, "decay": 0.8}),
    "KL term phased in over 1,000 steps for 500": Trial(config={"kl_warmup": 1000}),
    "over 2,000": Trial(config={"kl_warmup": 2000}),
    "2,000 steps of 512 images at 5e-3": Trial(
        config={"steps": 2000, "batch_size": 512, "lr": 5e-3, "warmup": 100, "kl_warmup": 250}
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only the trials whose names have one of these")
    words = parser.parse_args().words
    lab = Lab.open("fast", device="cpu")
    for name, trial in TRIALS.items():
        if not words or any(word in name for word in words):
            print(line(lab, name, trial), flush=True)


def line(lab: Lab, name: str, trial: Trial) -> str:
    """One line of the table."""
    config = replace(lab.profile.cvae, **{"steps": STEPS, "frames": 1} | trial.config)
    instead = {
        "torch.optim.Adam": trial.optimiser,
        "selective_amnesia.training.cvae.untrained": trial.beginning,
        "selective_amnesia.training.loop.schedule": trial.schedule,
    }
    started = time.perf_counter()
    with ExitStack() as stack:
        for what, other in instead.items():
            if other is not None:
                stack.enter_context(patch(what, other))
        model, _, facts = train_cvae(lab.data, config, seed=trial.seed)
    took = time.perf_counter() - started
    p, frechet = scores_of(lab, model)
    return f"| {name} | {facts['test_loss']:.2f} | {p:.3f} | {frechet:.1f} | {took:.0f} |"


if __name__ == "__main__":
    main()
