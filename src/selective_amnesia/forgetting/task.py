"""What a forgetting method works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..config import Config
from ..data.dataset import Dataset
from ..models.cvae import OneHotCVAE
from ..training.loop import Snapshots, Tensors
from . import losses

Make = Callable[[Snapshots | None], Tensors]
Control = Callable[[tuple[int, ...]], OneHotCVAE]  # labels -> a network that never saw them
Part = Callable[[str, int, Config, Make], Tensors]  # name, version, settings, make -> its tensors


def made_here(_name: str, _version: int, _settings: Config, make: Make) -> Tensors:
    """A part that nobody keeps."""
    return make(None)


@dataclass
class Task:
    """What a method works with. A batch has B = `settings.batch_size` rows."""

    model: OneHotCVAE  # the copy that forgets
    original: OneHotCVAE  # frozen
    fisher: Mapping[str, Tensor]  # the original's Fisher diagonal
    settings: Any  # the method's
    forget: tuple[int, ...]  # the labels to forget
    kept: tuple[int, ...]  # those to keep
    seed: int
    data: Dataset | None = None  # for methods that want real images
    control: Control | None = None  # for methods that begin from another network
    part: Part = made_here  # what takes long to prepare is kept by it, with snapshots of its own
    learned: nn.ModuleList = field(default_factory=nn.ModuleList)  # what else is trained beside

    @classmethod
    def of(
        cls,
        model: OneHotCVAE,
        original: OneHotCVAE,
        fisher: Mapping[str, Tensor],
        settings: Any,
        forget: tuple[int, ...],
        forgotten: Iterable[int],
        seed: int,
        data: Dataset | None,
        part: Part,
        control: Control | None = None,
    ) -> Task:
        """The task of forgetting some labels, where others may have been forgotten before.

        Raises:
            ValueError: nothing would be left to keep.
        """
        kept = tuple(sorted(set(range(original.classes)) - {*forget, *forgotten}))
        if not kept:
            raise ValueError("nothing would be left to keep: forget fewer labels")
        return cls(model, original, fisher, settings, forget, kept, seed, data, control, part)

    def __post_init__(self) -> None:
        # on the device from the start: a step that is recorded for a GPU cannot be sent values
        one_hots = torch.eye(self.original.classes, device=next(self.original.parameters()).device)
        self._forget, self._kept = one_hots[list(self.forget)], one_hots[list(self.kept)]

    def forgotten(self) -> Tensor:
        """One-hot conditions (B, C) drawn from the labels to forget."""
        return draw(self._forget, self.settings.batch_size)

    def kept_conditions(self) -> Tensor:
        """One-hot conditions (B, C) drawn from the labels to keep."""
        return draw(self._kept, self.settings.batch_size)

    def surrogate(self) -> Tensor:
        """L_forget of Selective Amnesia: noise under the forgotten labels, summed: ()."""
        return losses.surrogate(self.model, self.forgotten()).sum(-1)

    def replay(self) -> Tensor:
        """gamma L_replay: the original's samples of the kept labels, summed: ()."""
        of_kept = losses.replay(self.model, self.original, self.kept_conditions()).sum(-1)
        weighed: Tensor = self.settings.gamma * of_kept
        return weighed

    def ewc(self) -> Tensor:
        """lambda L_ewc: the way from the original's weights, weighed by its Fisher: ()."""
        anchor = dict(self.original.named_parameters())
        moved = losses.ewc(dict(self.model.named_parameters()), anchor, self.fisher)
        weighed: Tensor = self.settings.lam * moved
        return weighed


def draw(entries: Tensor, count: int) -> Tensor:
    """`count` entries drawn uniformly from a list (n, ...)."""
    return entries[(torch.rand(count, device=entries.device) * len(entries)).long()]


def codes_for(c: Tensor, model: OneHotCVAE) -> Tensor:
    """Codes (..., D) drawn from the prior, one for each condition (..., C)."""
    return torch.randn(*c.shape[:-1], model.z_dim, device=c.device)


def matching_loss(model: OneHotCVAE, z: Tensor, c: Tensor, target: Tensor) -> Tensor:
    """BCE between what a model decodes and targets (B, P), summed over the batch: ()."""
    logits = model.decode_logits(z, c)
    bce = nn.functional.binary_cross_entropy_with_logits(
        logits, target.expand_as(logits), reduction="none"
    )
    return bce.sum((-1, -2))
