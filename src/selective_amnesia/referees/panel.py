"""The panel: classifiers of different kinds, trained apart, that vote on what a picture shows.

Each member gives every class a score and takes the image for the class with the best one, if that
is as good as real images of the class usually score; otherwise for none. The panel takes it for the
class that more than half of its members do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .task import Scorer

VERSION = 1
PART = 100  # images at a time: what a member compares them with fits a processor's cache


@dataclass(frozen=True)
class Member:
    """A scorer, and the least score of each class at which an image is taken for it (classes,)."""

    scores: Scorer
    least: Tensor

    @torch.no_grad()
    def takes(self, x: Tensor) -> Tensor:
        """Images (N, P) to the class that each is taken for (N,); the number of classes is none."""
        best, label = torch.cat([self.scores(part) for part in x.split(PART)]).max(1)
        taken = best.isfinite() & (best >= self.least[label])
        return torch.where(taken, label, len(self.least))


@dataclass(frozen=True)
class Panel:
    """Members by name, for images of so many pixels."""

    members: Mapping[str, Member]
    pixels: int

    def votes(self, x: Tensor) -> Tensor:
        """Images (N, P) in [0, 1] to what each member takes them for (members, N).

        Raises:
            ValueError: they are no such images.
        """
        if x.shape[1:] != (self.pixels,) or not bool(((x >= 0) & (x <= 1)).all()):
            raise ValueError(
                f"the panel looks at images (N, {self.pixels}) with values from 0 to 1, and these "
                f"are {tuple(x.shape)} or have others"
            )
        return torch.stack([member.takes(x) for member in self.members.values()])

    def verdict(self, votes: Tensor) -> Tensor:
        """Votes (members, N) to what the panel takes each image for (N,)."""
        none = len(next(iter(self.members.values())).least)
        count = torch.nn.functional.one_hot(votes, none + 1).sum(0)[:, :none]
        most, label = count.max(1)
        return torch.where(2 * most > len(votes), label, none)


@torch.no_grad()
def least_scores(
    scores: Scorer, sets: list[tuple[Tensor, Tensor]], classes: int, kept: float
) -> Tensor:
    """For each class the score (classes,) that a share `kept` of its images reach, in each of the
    sets of images (N, P) and labels (N,)."""
    least = []
    for x, y in sets:
        own = torch.cat([scores(part) for part in x.split(PART)]).gather(1, y[:, None])[:, 0]
        finite = own[own.isfinite()]
        own = own.clamp(min=finite.min()) if len(finite) else torch.full_like(own, torch.inf)
        least.append(torch.stack([own[y == c].quantile(1 - kept) for c in range(classes)]))
    return torch.stack(least).amin(0)
