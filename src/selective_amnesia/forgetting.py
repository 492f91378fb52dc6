r"""Selective Amnesia: forgetting as continual learning (Heng & Soh, arXiv:2305.10120, Eq. 9).

A copy of the original learns that the forgotten labels mean noise, is shown the original's own
samples of the labels that stay, and is held, weight by weight, by what the Fisher diagonal says
the original knows:

    minimise   sum -ELBO(noise | forgotten)  +  gamma sum -ELBO(replay | kept)
               + lambda sum_i F_i (theta_i - theta*_i)^2
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .config import ForgetConfig, digit, forget_set
from .losses import ewc, replay, surrogate
from .models import OneHotCVAE
from .recipes import paint
from .training import Keeper, Tensors, fit, frame_steps

__all__ = ["selective_amnesia"]


def selective_amnesia(
    original: OneHotCVAE,
    fisher: Mapping[str, Tensor],
    forget: Iterable[int],
    config: ForgetConfig,
    *,
    seed: int,
    forgotten: Iterable[int] = (),
    frames_z: Tensor | None = None,
    keeper: Keeper | None = None,
) -> tuple[OneHotCVAE, Tensors]:
    """An amnesiac, and the history of its making. The original is left as it was.

    Args:
        fisher: the original's Fisher diagonal.
        forget: the forget set.
        forgotten: labels that the original has already lost: neither forgotten nor rehearsed.
        frames_z: (K, D) codes whose images under every label are kept along the way, as
            history["frames"] (frames, classes, K, P) uint8.

    Returns:
        The amnesiac; the history of `training.fit`: "loss" and the terms "forget", "replay", "ewc"
        as they enter the sum, per image of the batch.
    """
    forget = forget_set(forget, original.classes)
    gone = set(forget) | {digit(label, original.classes) for label in forgotten}
    kept = [label for label in range(original.classes) if label not in gone]
    if not kept:
        raise ValueError("nothing would be left to keep: forget fewer digits")
    model = copy.deepcopy(original)
    original = copy.deepcopy(original).eval().requires_grad_(False)
    anchor = dict(original.named_parameters())
    weights = dict(model.named_parameters())
    device = next(model.parameters()).device
    conditions = torch.eye(original.classes, device=device)
    forget_c = conditions[torch.tensor(forget, device=device)]
    kept_c = conditions[torch.tensor(kept, device=device)]

    def draw(choices: Tensor) -> Tensor:
        return choices[torch.randint(len(choices), (config.batch_size,), device=device)]

    def loss(_step: int) -> dict[str, Tensor]:
        terms = {
            "forget": surrogate(model, draw(forget_c)).sum(),
            "replay": config.gamma * replay(model, original, draw(kept_c)).sum(),
            "ewc": config.lam * ewc(weights, anchor, fisher),
        }
        return {"loss": sum(terms.values())} | {
            k: v.detach() / config.batch_size for k, v in terms.items()
        }

    def watch(_step: int) -> dict[str, Tensor]:
        return {"frames": paint(model, frames_z)}

    history = fit(
        model,
        loss,
        config,
        seed=seed,
        label=f"forgetting {' '.join(map(str, forget))}",
        watch=watch if frames_z is not None else None,
        watch_at=frame_steps(config.steps, config.frames),
        keeper=keeper,
    )
    return model, history
