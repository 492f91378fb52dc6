r"""Another control: retraining's cheap cousin. A network that was trained without more labels than
the forgotten ones learns those back that it should know.

    minimise   sum -ELBO(real | kept)

from the weights of a control that saw neither the forgotten labels nor some of the kept.
The idea of SISA (Bourtoule et al., arXiv:1912.03817): who keeps networks of parts of the data goes
on from one that never saw what is to be forgotten. It is erased by construction; what it may lack
is the quality of the others, and it is no longer the original: its images are new.

Changed: SISA splits the data at random, here the labels are halved (0 to 4 and 5 to 9 of ten), so
that two networks a seed serve every digit. The control lacks the halves that hold forgotten labels;
where these lie in both, the forgotten labels and the first half of the others.

Settings: the rate of the others. On seed 7 rates of 0.001, 0.004 and 0.01 erase 1.06, 1.00 and 0.95
and cost the kept digits 4.5, 2.4 and 2.1 nats (benchmarks/README.md).
Access: real images of the kept labels, and the other control, which has to be there or be made.
The original is not used.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from . import fine_tuning
from .task import Task


def prepare(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    if task.control is None:
        raise ValueError("another_control begins from a control of other labels: give it `control`")
    other = task.control(without(task.forget, task.kept))
    task.model.load_state_dict(other.state_dict())
    return fine_tuning.prepare(task)


def without(forget: tuple[int, ...], kept: tuple[int, ...]) -> tuple[int, ...]:
    """The labels that the other control never saw: the forgotten ones and some of the kept."""
    half = (max(*forget, *kept) + 1) // 2
    sides = {label < half for label in forget}
    more = [label for label in kept if (label < half) in sides]
    if len(more) == len(kept):
        more = list(kept[: len(kept) // 2])
    return tuple(sorted({*forget, *more}))
