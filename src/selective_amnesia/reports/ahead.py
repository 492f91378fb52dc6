"""What the notebooks ask for last, made beside them by a second process.

On a CPU two processes of one thread each do more than one of two threads: a training step gains 1.3
to 1.7 times from a second thread, and much of the rest, as clustering or drawing, nothing. The list
need not be complete: a notebook makes what it finds missing, and what both want is made once, since
a stage has a lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ..checks import forget_set
from ..errors import Diverged, LabError
from ..lab.lab import Lab
from ..lab.panel import PanelMaker
from .matrix import SURROGATES, cases, matrix
from .results import erasures

# the methods of notebook 09, in its order
GALLERY = (
    *("selective_amnesia", "without_ewc", "without_replay", "naive", "concept_swap", "salun"),
    *("symmetric_projection", "alternating_projection", "fine_tuning", "calibrated_amnesia"),
)


def make_ahead(lab: Lab, forget_sets: Sequence[str], parent: int) -> None:
    """Make the stages, one after another, for as long as the process `parent` is there."""
    for make in stages(lab, forget_sets):
        if os.getppid() != parent:
            return
        try:
            make()
        except (Diverged, LabError) as error:
            print(error, flush=True)  # whoever needs the stage makes it, or says the same


def stages(lab: Lab, forget_sets: Sequence[str]) -> Iterator[Callable[[], Any]]:
    """What makes the stages of notebooks 01 to 09, the longest that need no other first."""
    sets = [forget_set(words, lab.data.classes) for words in forget_sets]
    asked, first = cases(sets, lab.data.classes), sets[0]
    yield PanelMaker(lab).train
    yield from (partial(lab.control, forget) for forget in sets)
    yield from (partial(lab.surrogate, number) for number in range(SURROGATES))
    flat = lab.variant(z_dim=2, steps=lab.profile.cvae.steps // 2)
    yield partial(flat.amnesiac, first)
    yield partial(matrix, lab, dict.fromkeys(asked, 1), stronger=True)
    for model in lab.trio(first).values():
        for codes in (64, 4, 1):
            yield partial(lab.measure.verdict, model, first[0], "robust", codes=codes)
    yield partial(erasures, lab, asked)
    for model in lab.trio(first).values():
        yield partial(lab.measure.metric, model, first[0], "relearning")
    for method in reversed(GALLERY):  # the notebook begins with the first: they meet
        yield partial(lab.amnesiac, first, method=method)
