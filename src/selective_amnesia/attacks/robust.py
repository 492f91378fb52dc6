r"""Attack A, "robust": one condition for all codes, towards the judge's features of the label.

    minimise  mean_k [ -log p(t | x_k) + a shape + b edge + d repel + e tv ]

with the terms of `terms.py`. Where the attacker has surrogate classifiers, log p is the mean of the
judge's and theirs; they are asked in turn, one a step, and all of them where starts are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import terms
from .search import AttackTask, Recovered, View, search

NAME = "A"
VERSION = 1


def objective(task: AttackTask, view: View) -> dict[str, Tensor]:
    """Each term, weighed, for each start that is left: (S,)."""
    settings, target, x = task.settings, task.target, view.x
    shallow, deep = task.judge.features(x)
    log_p = task.judge.classify(deep).log_softmax(-1)
    asked = task.surrogates
    if asked and not view.compared:
        asked = [asked[view.step % len(asked)]]
    said = [classifier(x).log_softmax(-1)[:, : task.model.classes] for classifier in asked]
    log_p = torch.stack([log_p, *said]).mean(0)
    start_of_image = view.begun.repeat_interleave(settings.codes)
    each = {
        "likelihood": -log_p[:, target.label],
        "shape": settings.shape * terms.shape(deep, target.deep),
        "edge": settings.edge * terms.edge(shallow, target.shallow),
        "repel": settings.repel * terms.repel(log_p.exp(), target.label, start_of_image),
        "tv": settings.tv * terms.total_variation(x),
    }
    return {name: view.mean(values) for name, values in each.items()}


def recover(task: AttackTask) -> Recovered:
    """What attack A finds."""
    return search(task, lambda view: objective(task, view))
