"""How an original forgets: one small file a method, found by the file's name.

A method's file holds

    prepare    task -> terms: called once, it returns the function that is called at each step with
               the step's number and gives the terms of the loss by name, each a sum over the batch
    Settings   if the method has numbers of its own: a subclass of `config.ForgetConfig`
    NAME       if tables and figures write it otherwise than the file

The sum of the terms is minimised over the weights of `task.model`, a copy of the original, by the
loop that all stages share: steps, schedule, snapshots and resume, and several forget sets side by
side, come with it. A method that works on gradients gives a term "loss" besides: it alone is
minimised then, and the others are only recorded.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ForgetConfig, digit, forget_set, one_each
from ..data import Dataset
from ..models import OneHotCVAE, stack, unstack
from ..recipes import paint
from ..training import Keeper, Streams, Tensors, each_alone, fit, frame_steps, seeded
from .task import Task, labels_of

__all__ = ["METHODS", "RETRAIN", "forget", "method_of", "settings", "title"]

_SHARED = {"level", "task"}  # files that methods share
METHODS = tuple(sorted({m.name for m in pkgutil.iter_modules(__path__)} - _SHARED))

RETRAIN = "retrain"  # the control, where it stands beside the methods


def method_of(name: str) -> ModuleType:
    """The file of a method.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r} is unknown: use one of {', '.join(METHODS)}")
    return importlib.import_module(f"{__name__}.{name}")


def title(method: str) -> str:
    """A method's name, or a row's, as tables and figures write it."""
    words = "retrain (the control)" if method == RETRAIN else str(method).replace("_", " ")
    return getattr(method_of(method), "NAME", words) if method in METHODS else words


def settings(method: str, like: ForgetConfig, **changes: Any) -> ForgetConfig:
    """A method's settings: its own numbers, all others as in `like`, and then the changes.

    Raises:
        ValueError: there is no method of that name, or no setting.
    """
    kind = getattr(method_of(method), "Settings", ForgetConfig)
    own = () if kind is ForgetConfig else inspect.get_annotations(kind)
    shared = {f.name: getattr(like, f.name) for f in fields(like) if f.name not in own}
    known = [f.name for f in fields(kind)]
    if unknown := sorted(changes.keys() - set(known)):
        raise ValueError(f"{title(method)} has no {', '.join(unknown)}: use {', '.join(known)}")
    return kind(**shared | changes)


def forget(
    method: str,
    original: OneHotCVAE,
    fisher: Mapping[str, Tensor],
    forget_sets: Sequence[Iterable[int]],
    config: ForgetConfig,
    *,
    seeds: Sequence[int],
    data: Dataset | None = None,
    forgotten: Iterable[int] = (),
    frames_z: Tensor | None = None,
    keeper: Keeper | None = None,
) -> list[tuple[OneHotCVAE, Tensors]]:
    """An amnesiac for each forget set, made side by side, each as if alone, and the history of its
    making. The original is left as it was.

    Args:
        method: one of METHODS.
        fisher: the original's Fisher diagonal.
        config: the method's `settings`.
        seeds: one for each forget set.
        data: where a method that trains on real images takes those of the kept digits.
        forgotten: labels that the original has already lost: neither forgotten nor rehearsed.
        frames_z: (K, D) codes whose images under every label are kept along the way, as
            history["frames"] (frames, classes, K, P) uint8.

    Returns:
        The amnesiacs; the histories of `training.fit`: "loss" as it is minimised, a sum over the
        batch (of a method that works on gradients it is no measure of anything), and the method's
        terms per image of the batch.
    """
    original = copy.deepcopy(original).eval().requires_grad_(False)
    sets = [forget_set(each, original.classes) for each in forget_sets]
    one_each("seed", seeds, "forget set", sets)
    device = next(original.parameters()).device
    gone = [digit(label, original.classes) for label in forgotten]
    kept = [_kept(original.classes, (*s, *gone)) for s in sets]
    models = [copy.deepcopy(original).requires_grad_(True) for _ in sets]
    together = stack(models)
    task = Task(
        model=together,
        original=original,
        fisher=fisher,
        config=config,
        sets=sets,
        seeds=list(seeds),
        kept_sets=kept,
        forgotten=labels_of(sets, original.classes, config.batch_size, device),
        kept=labels_of(kept, original.classes, config.batch_size, device),
        data=data,
    )
    started = time.perf_counter()
    with seeded(seeds[0], device), Streams(seeds, device) if task.lead else nullcontext():
        terms_at = method_of(method).prepare(task)
    prepared = time.perf_counter() - started

    def loss(step: Tensor) -> dict[str, Tensor]:
        terms = terms_at(step)
        total = terms.pop("loss") if "loss" in terms else sum(terms.values())
        return {"loss": total} | {k: v.detach() / config.batch_size for k, v in terms.items()}

    def watch(_step: int) -> dict[str, Tensor]:
        frames = [paint(model, frames_z) for model in unstack(together, models)]
        return {"frames": frames[0] if len(frames) == 1 else torch.stack(frames)}

    history = fit(
        nn.ModuleList([together, *task.learned]) if task.learned else together,
        loss,
        config,
        seed=seeds if task.lead else seeds[0],
        label="forgetting " + ", ".join(" ".join(map(str, s)) for s in sets),
        batches=lambda step: (torch.full((), step, device=device),),
        watch=watch if frames_z is not None else None,
        watch_at=frame_steps(config.steps, config.frames),
        keeper=keeper,
    )
    history["seconds"] += prepared
    return list(zip(unstack(together, models), each_alone(history, len(models)), strict=True))


def _kept(classes: int, gone: Iterable[int]) -> tuple[int, ...]:
    """The labels that stay."""
    kept = tuple(sorted(set(range(classes)) - set(gone)))
    if not kept:
        raise ValueError("nothing would be left to keep: forget fewer digits")
    return kept
