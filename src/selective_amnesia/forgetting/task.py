"""What a forgetting method works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import losses
from ..data import Dataset
from ..models import OneHotCVAE

__all__ = ["Task", "apart", "codes_for", "draws", "labels_of"]


@dataclass
class Task:
    """What a method works with. Of M forget sets every tensor has M as its first dimension; of one
    it has none: `lead` is () or (M,). A batch has B = `config.batch_size` rows.
    """

    model: OneHotCVAE  # the copy that forgets
    original: OneHotCVAE  # frozen
    fisher: Mapping[str, Tensor]  # the original's Fisher diagonal
    config: Any  # the method's settings
    sets: list[tuple[int, ...]]  # the digits to forget
    seeds: list[int]  # one for each set
    kept_sets: list[tuple[int, ...]]  # those to keep
    forgotten: Callable[[], Tensor]  # draws one-hot conditions (*lead, B, C) of the first
    kept: Callable[[], Tensor]  # and of the second
    data: Dataset | None = None  # for methods that want real images
    learned: nn.ModuleList = field(default_factory=nn.ModuleList)  # what else is trained beside

    @property
    def lead(self) -> tuple[int, ...]:
        return () if len(self.sets) == 1 else (len(self.sets),)

    def surrogate(self) -> Tensor:
        """L_forget of Selective Amnesia: noise under the forgotten labels, summed: lead."""
        return losses.surrogate(self.model, self.forgotten()).sum(-1)

    def replay(self) -> Tensor:
        """gamma L_replay: the original's samples of the kept labels, summed: lead."""
        return self.config.gamma * losses.replay(self.model, self.original, self.kept()).sum(-1)

    def ewc(self) -> Tensor:
        """lambda L_ewc: the way from the original's weights, weighed by its Fisher: lead."""
        anchor = dict(self.original.named_parameters())
        return self.config.lam * losses.ewc(
            dict(self.model.named_parameters()), anchor, self.fisher
        )


def draws(lists: Sequence[Tensor], count: int) -> Callable[[], Tensor]:
    """What draws `count` entries uniformly from a list (n,); of M lists, (M, count)."""
    table = torch.nn.utils.rnn.pad_sequence(list(lists), batch_first=True)
    sizes = torch.tensor([[len(entries)] for entries in lists], device=table.device)
    if len(lists) == 1:
        table, sizes = table[0], sizes[0]

    def draw() -> Tensor:
        chosen = torch.rand(*table.shape[:-1], count, device=table.device) * sizes
        return table.gather(-1, chosen.long())

    return draw


def labels_of(
    sets: Sequence[tuple[int, ...]], classes: int, count: int, device: torch.device
) -> Callable[[], Tensor]:
    """What draws one-hot conditions (count, C) of a set's labels; of M sets, (M, count, C)."""
    draw = draws([torch.tensor(labels, device=device) for labels in sets], count)
    conditions = torch.eye(classes, device=device)
    return lambda: conditions[draw()]


def codes_for(c: Tensor, model: OneHotCVAE) -> Tensor:
    """Codes (..., D) drawn from the prior, one for each condition (..., C)."""
    return torch.randn(*c.shape[:-1], model.z_dim, device=c.device)


def apart(model: OneHotCVAE, z: Tensor, c: Tensor, target: Tensor) -> Tensor:
    """BCE between what a model paints and targets (..., B, P), summed over the batch: (...)."""
    logits = model.decode_logits(z, c)
    bce = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    return bce.sum((-1, -2))
