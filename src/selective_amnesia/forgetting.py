r"""Selective Amnesia: forgetting as continual learning (Heng & Soh, arXiv:2305.10120, Eq. 9).

A copy of the original learns that the forgotten labels mean noise, is shown the original's own
samples of the labels that stay, and is held, weight by weight, by what the Fisher diagonal says
the original knows:

    minimise   sum -ELBO(noise | forgotten)  +  gamma sum -ELBO(replay | kept)
               + lambda sum_i F_i (theta_i - theta*_i)^2
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from .config import ForgetConfig, digit, forget_set, one_each
from .losses import ewc, replay, surrogate
from .models import OneHotCVAE, stack, unstack
from .recipes import paint
from .training import Keeper, Tensors, each_alone, fit, frame_steps

__all__ = ["selective_amnesia"]


def selective_amnesia(
    original: OneHotCVAE,
    fisher: Mapping[str, Tensor],
    forget_sets: Sequence[Iterable[int]],
    config: ForgetConfig,
    *,
    seeds: Sequence[int],
    forgotten: Iterable[int] = (),
    frames_z: Tensor | None = None,
    keeper: Keeper | None = None,
) -> list[tuple[OneHotCVAE, Tensors]]:
    """An amnesiac for each forget set, made side by side, each as if alone, and the history of
    its making. The original is left as it was.

    Args:
        fisher: the original's Fisher diagonal.
        seeds: one for each forget set.
        forgotten: labels that the original has already lost: neither forgotten nor rehearsed.
        frames_z: (K, D) codes whose images under every label are kept along the way, as
            history["frames"] (frames, classes, K, P) uint8.

    Returns:
        The amnesiacs; the histories of `training.fit`: "loss" and the terms "forget", "replay",
        "ewc" as they enter the sum, per image of the batch.
    """
    original = copy.deepcopy(original).eval().requires_grad_(False)
    sets = [forget_set(forget, original.classes) for forget in forget_sets]
    one_each("seed", seeds, "forget set", sets)
    device = next(original.parameters()).device
    to_forget = _draws(sets, original.classes, config.batch_size, device)
    gone = [digit(label, original.classes) for label in forgotten]
    kept = [_kept(original.classes, (*s, *gone)) for s in sets]
    to_keep = _draws(kept, original.classes, config.batch_size, device)
    models = [copy.deepcopy(original).requires_grad_(True) for _ in sets]
    together = stack(models)
    weights, anchor = dict(together.named_parameters()), dict(original.named_parameters())

    def loss() -> dict[str, Tensor]:
        terms = {
            "forget": surrogate(together, to_forget()).sum(-1),
            "replay": config.gamma * replay(together, original, to_keep()).sum(-1),
            "ewc": config.lam * ewc(weights, anchor, fisher),
        }
        return {"loss": sum(terms.values())} | {
            k: v.detach() / config.batch_size for k, v in terms.items()
        }

    def watch(_step: int) -> dict[str, Tensor]:
        frames = [paint(model, frames_z) for model in unstack(together, models)]
        return {"frames": frames[0] if len(frames) == 1 else torch.stack(frames)}

    history = fit(
        together,
        loss,
        config,
        seed=seeds if len(seeds) > 1 else seeds[0],
        label="forgetting " + ", ".join(" ".join(map(str, s)) for s in sets),
        watch=watch if frames_z is not None else None,
        watch_at=frame_steps(config.steps, config.frames),
        keeper=keeper,
    )
    return list(zip(unstack(together, models), each_alone(history, len(models)), strict=True))


def _kept(classes: int, gone: Iterable[int]) -> tuple[int, ...]:
    """The labels that stay."""
    kept = tuple(sorted(set(range(classes)) - set(gone)))
    if not kept:
        raise ValueError("nothing would be left to keep: forget fewer digits")
    return kept


def _draws(
    sets: Sequence[tuple[int, ...]], classes: int, count: int, device: torch.device
) -> Callable[[], Tensor]:
    """What draws conditions (count, C) uniformly from the labels of a set; of M sets, (M, count,
    C)."""
    most = max(map(len, sets))
    table = torch.tensor([s + s[:1] * (most - len(s)) for s in sets], device=device)
    sizes = torch.tensor([[len(s)] for s in sets], device=device)
    if len(sets) == 1:
        table, sizes = table[0], sizes[0]
    conditions = torch.eye(classes, device=device)

    def draw() -> Tensor:
        chosen = torch.rand(*table.shape[:-1], count, device=device) * sizes
        return conditions[table.gather(-1, chosen.long())]

    return draw
