r"""Fine-tuning: train on, on real images of the kept labels alone, and hope that the rest fades.

    minimise   sum -ELBO(real | kept)

The simplest baseline of the field (catastrophic forgetting, put to use; e.g. Golatkar et al.,
arXiv:1911.04933).

Changed: no term but the ELBO, and a rate that is high on purpose.
Settings: the rate, on seed 7: 0.001 erases 0.01, 0.02 0.89 and 0.03 1.22, at costs of 0, 2.6 and
5.4 nats; the label shows the digit at all of them (benchmarks/README.md).
Access: the original, and real images of the kept labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import ForgetConfig
from ..data.dataset import pixels
from ..models.elbo import elbo_terms
from .task import Task, draw


@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    """A high rate: what is learned is known already, and the label has to be shaken off."""

    lr: float = 2e-2


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    if (data := task.data) is None:
        raise ValueError("fine_tuning trains on real images of the kept labels: give it `data`")
    rows = data.rows_without(set(range(data.classes)) - set(task.kept))
    conditions = torch.eye(data.classes, device=rows.device)

    def terms(_step: Tensor) -> dict[str, Tensor]:
        chosen = draw(rows, task.settings.batch_size)
        x, c = pixels(data.train_images[chosen]), conditions[data.train_labels[chosen]]
        bce, kl = elbo_terms(task.model, x, c)
        return {"replay": (bce + kl).sum(-1)}

    return terms
