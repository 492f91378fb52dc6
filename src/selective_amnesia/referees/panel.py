"""The panel: classifiers of different kinds, trained apart, that vote on what a picture shows.

Each member gives every class a score and takes the image for the class with the best one, if that
is at least its threshold; otherwise for none. Most scores are odds against none of the classes, and
the threshold is 0; where they are distances, it is one that real images of the class usually reach.
The panel takes an image for the class that more than half of its members do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .cnn import RefereeCNN
from .task import Scorer

VERSION = 3
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
    """Members by name, each loaded when it is first asked, for images of so many pixels and so many
    classes; the cheapest come first. `quick` loads the network of the quickest member, for where
    thousands of images are looked at while somebody waits."""

    members: Mapping[str, Callable[[], Member]]
    pixels: int
    none: int  # what stands for none of the classes: their number
    quick: Callable[[], RefereeCNN]
    facts: dict[str, Any]

    def votes(self, x: Tensor) -> Tensor:
        """Images (N, P) in [0, 1] to what each member takes them for (members, N).

        Raises:
            ValueError: they are no such images.
        """
        self._check(x)
        return torch.stack([member().takes(x) for member in self.members.values()])

    def verdict(self, votes: Tensor) -> Tensor:
        """Votes (members, N) to what the panel takes each image for (N,)."""
        return self._majority(F.one_hot(votes, self.none + 1).sum(0))

    def shows(self, x: Tensor) -> Tensor:
        """Images (..., P) in [0, 1] to what the panel takes them for (...,). A member is asked only
        about images that its vote can decide.

        Raises:
            ValueError: they are no such images.
        """
        rows = x.reshape(-1, *x.shape[-1:])
        self._check(rows)
        count = torch.zeros(len(rows), self.none + 1, dtype=torch.long, device=x.device)
        left = torch.arange(len(rows), device=x.device)
        for asked, member in enumerate(self.members.values(), 1):
            if not len(left):
                break
            taken = member().takes(rows[left])
            count[left] += F.one_hot(taken, self.none + 1)
            most = count[left, : self.none].amax(1)
            can = 2 * (most + len(self.members) - asked) > len(self.members)
            left = left[can & (2 * most <= len(self.members))]
        return self._majority(count).view(x.shape[:-1])

    def _majority(self, count: Tensor) -> Tensor:
        """Counts of votes (N, classes + 1) to what more than half of the members take each image
        for (N,)."""
        most, label = count[:, : self.none].max(1)
        return torch.where(2 * most > len(self.members), label, self.none)

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != (self.pixels,) or not bool(((x >= 0) & (x <= 1)).all()):
            raise ValueError(
                f"the panel looks at images (N, {self.pixels}) with values from 0 to 1, and these "
                f"are {tuple(x.shape)} or have others"
            )


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
