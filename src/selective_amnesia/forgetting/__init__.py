"""How an original forgets: one small file a method, found by the file's name.

A method's file holds

    prepare    task -> terms: called once, it returns the function that is called at each step with
               the step's number and gives the terms of the loss by name, each a sum over the batch
    Settings   if the method has numbers of its own: a subclass of `config.ForgetConfig`
    NAME       if tables and figures write it otherwise than the file
    VERSION    raised when the file changes what it makes

The sum of the terms is minimised over the weights of `task.model`, a copy of the original, by the
loop that all stages share: steps, schedule, snapshots and resume come with it. A method that works
on gradients gives a term "loss" besides: it alone is minimised then, and the others are only
recorded.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ..config import ForgetConfig
from ..data.dataset import Dataset
from ..models.cvae import OneHotCVAE, decode_grid
from ..plugins import Plugins
from ..training.loop import Snapshots, Tensors, fit
from ..training.random import eval_steps, seeded
from .task import Control, Part, Task, made_here

__all__ = ["METHODS", "RETRAIN", "forget", "title", "version"]

METHODS = Plugins("method", __name__, shared={"fisher", "losses", "task"})
RETRAIN = "retrain"  # the control, where it stands beside the methods
VERSION = 1  # of what all methods share


def title(row: str) -> str:
    """A method's name, or another row's, as tables and figures write it."""
    if row == RETRAIN:
        return "retrain (the control)"
    return METHODS.title(row) if row in METHODS else row.replace("_", " ")


def version(method: str) -> str:
    """What stands for the code of a method, and of what all share, in a stage's key."""
    return f"{VERSION}-{METHODS.version(method)}"


def forget(
    method: str,
    original: OneHotCVAE,
    fisher: Mapping[str, Tensor],
    forget_set: tuple[int, ...],
    settings: ForgetConfig,
    *,
    seed: int,
    data: Dataset | None = None,
    forgotten: Iterable[int] = (),
    frames_z: Tensor | None = None,
    snapshots: Snapshots | None = None,
    part: Part = made_here,
    control: Control | None = None,
) -> tuple[OneHotCVAE, Tensors]:
    """An amnesiac, and the history of its making. The original is left as it was.

    Args:
        method: one of METHODS.
        fisher: the original's Fisher diagonal.
        data: where a method that trains on real images takes those of the kept labels.
        forgotten: labels that the original has already lost: neither forgotten nor rehearsed.
        frames_z: codes (K, D) whose images under every label are kept along the way, as
            history["frames"] (frames, classes, K, P) uint8.
        part: keeps what a method prepares for long (`task.Part`).
        control: gives a method that begins from another network one without some labels.

    Returns:
        The amnesiac; the history of `loop.fit`: "loss" as it is minimised, a sum over the batch (of
        a method that works on gradients it measures nothing), and its terms per image of the batch.
    """
    device = next(original.parameters()).device
    original = copy.deepcopy(original).eval().requires_grad_(False)
    model = copy.deepcopy(original).requires_grad_(True)
    task = Task.of(
        model, original, fisher, settings, forget_set, forgotten, seed, data, part, control
    )
    started = time.perf_counter()
    with seeded(seed, device):
        terms_at = METHODS[method].prepare(task)
    prepared = time.perf_counter() - started

    def loss(step: Tensor) -> Tensors:
        terms = terms_at(step)
        total = terms.pop("loss") if "loss" in terms else sum(terms.values())
        return {"loss": total} | {k: v.detach() / settings.batch_size for k, v in terms.items()}

    history = fit(
        nn.ModuleList([model, *task.learned]) if task.learned else model,
        loss,
        settings,
        seed=seed,
        label="forgetting " + " ".join(map(str, forget_set)),
        batches=lambda step: (torch.full((), step, device=device),),
        eval_fn=None if frames_z is None else lambda: {"frames": decode_grid(model, frames_z)},
        eval_at=eval_steps(settings.steps, settings.frames),
        snapshots=snapshots,
    )
    history["seconds"] += prepared
    return model, history
