"""Every number of the protocol, in one place.

A profile says how much work each stage does. `paper` is the authors' protocol: their steps, rates,
schedule of the classifier and incomplete last batches (arXiv:2305.10120 and its code). `fast`
reaches its quality in a fraction of the steps, `smoke` only shows that everything runs.
"""

from __future__ import annotations

from typing import Any

from .config import (
    AttackConfig,
    CVAEConfig,
    DescriptionConfig,
    EvaluationConfig,
    FisherConfig,
    ForgetConfig,
    JudgeConfig,
    LikelihoodConfig,
    PanelConfig,
    Profile,
    RefereeConfig,
    RelearningConfig,
    VisualisationConfig,
)


def _forget(steps: int, lr: float, batch_size: int = 256, **kwargs: Any) -> ForgetConfig:
    return ForgetConfig(steps=steps, batch_size=batch_size, lr=lr, **kwargs)


def _referee(steps: int) -> RefereeConfig:
    return RefereeConfig(
        steps=steps,
        batch_size=128,
        lr=4e-3,
        warmup=200,
        decay=0.8,
        betas=(0.9, 0.99),
        bfloat16=True,
    )


SMOKE = Profile(
    name="smoke",
    judge=JudgeConfig(steps=30, batch_size=64, lr=1e-3, save_every=10),
    referee=RefereeConfig(steps=150, batch_size=64, lr=3e-3, bfloat16=True, width=8, save_every=50),
    surrogate=RefereeConfig(steps=50, batch_size=64, lr=3e-3, bfloat16=True, width=8),
    panel=PanelConfig(images=1000, negatives=500),
    cvae=CVAEConfig(
        steps=60, batch_size=128, lr=2e-3, bfloat16=True, kl_warmup=10, save_every=20, frames=5
    ),
    fisher=FisherConfig(samples=500, batch_size=250),
    forget=_forget(30, 1e-3, 64, bfloat16=True, save_every=10, frames=5),
    ablation_steps=10,
    sequence=_forget(10, 1e-3, 64, frames=2),
    sequence_fisher=FisherConfig(samples=250, batch_size=250),
    sequence_rounds=2,
    attack=AttackConfig(steps=10, codes=4, frames=2),
    description=DescriptionConfig(steps=20, images=10),
    relearning=RelearningConfig(steps=8, draws=2, samples=20, evaluations=4),
    likelihood=LikelihoodConfig(steps=10, images=20, more_starts=1, polish=3, samples=16),
    evaluation=EvaluationConfig(samples=50),
    visualisation=VisualisationConfig(codes=4, path_steps=8, drawn=60, silhouette=200),
)

FAST = Profile(
    name="fast",
    judge=JudgeConfig(steps=1500, batch_size=128, lr=3e-3, warmup=100, decay=1.0),
    referee=_referee(2500),
    surrogate=_referee(1000),
    cvae=CVAEConfig(
        steps=6000,
        batch_size=256,
        lr=4e-3,
        warmup=150,
        decay=0.6,
        betas=(0.9, 0.99),
        bfloat16=True,
        kl_warmup=500,
    ),
    fisher=FisherConfig(samples=50_000),
    forget=_forget(
        1000, 4e-3, warmup=50, decay=0.6, betas=(0.9, 0.99), bfloat16=True, save_every=200
    ),
    ablation_steps=300,
    sequence=_forget(300, 4e-3, warmup=30, decay=0.6, betas=(0.9, 0.99), bfloat16=True, frames=2),
    sequence_fisher=FisherConfig(samples=10_000),
    sequence_rounds=5,
    attack=AttackConfig(steps=250),
    description=DescriptionConfig(steps=200),
    relearning=RelearningConfig(steps=150),
)

# Epochs are of 60,000 images: 938 batches of 64 with the last of 32, of which there are 20, and
# 235 batches of 256 with the last of 96.
PAPER = Profile(
    name="paper",
    judge=JudgeConfig(steps=20 * 938, batch_size=64, lr=1e-4, drop_every=5 * 938, last_batch=True),
    referee=_referee(5000),
    surrogate=_referee(2500),
    cvae=CVAEConfig(steps=100_000, batch_size=256, lr=1e-4, last_batch=True, save_every=1000),
    fisher=FisherConfig(samples=50_000),
    forget=_forget(10_000, 1e-4),
    ablation_steps=2000,
    sequence=_forget(10_000, 1e-4, frames=2),
    sequence_fisher=FisherConfig(samples=50_000),
    sequence_rounds=9,
    attack=AttackConfig(steps=500),
    description=DescriptionConfig(steps=400, images=500),
    relearning=RelearningConfig(steps=400, draws=10),
)

PROFILES = {profile.name: profile for profile in (SMOKE, FAST, PAPER)}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in PROFILES:
        raise ValueError(f"profile {name!r} is unknown: use one of {', '.join(PROFILES)}")
    return PROFILES[name]
