r"""The joint attack: z and c are sought together.

    minimise  A's objective  +  prior mean_k |z_k|^2 / 2

so the codes are held by a share of their prior's energy.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..config import AttackConfig
from .robust import objective
from .search import AttackTask, Recovered, View, search

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings(AttackConfig):
    """`prior` is the share."""

    prior: float = 0.01


def recover(task: AttackTask) -> Recovered:
    """What the joint attack finds."""

    def with_prior(view: View) -> dict[str, Tensor]:
        energy = task.settings.prior * 0.5 * view.z.square().sum(-1).mean(1)
        return objective(task, view) | {"prior": energy}

    return search(task, with_prior, move_codes=True)
