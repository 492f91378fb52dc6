"""The plan: a plain list of tasks, each a question to a lab, with the tasks that it needs.

A task holds names and numbers only. Whoever works on it opens a lab and asks; the lab loads,
resumes or makes. A new kind of task is a function that is given a lab, at the top of a module:

    Task("ink", dataset, lab.seed, measure_ink, (seed, forget, method), needs=(amnesiac, judge))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..checks import words
from ..forgetting import RETRAIN
from ..lab.lab import Lab
from ..lab.panel import PanelMaker
from ..referees import MEMBERS
from ..storage.store import Store

ForgetSet = tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One question to the lab of a data set and seed.

    Args:
        what: its kind, for tables.
        ask: a method of `Lab`, or any function that can be imported and takes a lab first.
        arguments: what it is asked with: names and numbers.
        needs: the tasks whose stages it would make itself were they not there.
        measures: it reads networks and measures; otherwise it makes the one stage that it asks for.
    """

    what: str
    dataset: str
    seed: int
    ask: Callable[..., object]
    arguments: tuple[Any, ...] = ()
    needs: tuple[Task, ...] = ()
    measures: bool = False

    def __str__(self) -> str:
        asked = (words(a) if isinstance(a, tuple) else str(a) for a in self.arguments)
        return f"{' '.join([self.what, *asked])} of {self.dataset}, seed {self.seed}"


def train_member(lab: Lab, name: str) -> None:
    """Train one member of the lab's panel."""
    PanelMaker(lab).train([name])


def set_thresholds(lab: Lab) -> None:
    """Set the thresholds of the panel's members."""
    for member in lab.panel.members.values():
        member()


def model(dataset: str, seed: int, forget: ForgetSet, method: str) -> Task:
    """The task that makes an amnesiac or, where the method is "retrain", the control."""
    if method == RETRAIN:
        return Task("control", dataset, seed, Lab.control, (forget,))
    cvae = original(dataset, seed)
    fisher = Task("fisher", dataset, seed, Lab.fisher, needs=(cvae,))
    return Task("amnesiac", dataset, seed, Lab.amnesiac, (forget, method), (cvae, fisher))


def original(dataset: str, seed: int) -> Task:
    """The task that makes an original."""
    return Task("cvae", dataset, seed, Lab.cvae)


def networks(
    dataset: str, seeds: Sequence[int], forget_sets: Iterable[ForgetSet], methods: Sequence[str]
) -> list[Task]:
    """The tasks that make what reports are measured on: the judge of the first seed; an original
    and a Fisher diagonal for each seed; a control and the methods' amnesiacs for each seed and
    forget set."""
    rows = [RETRAIN, *(m for m in methods if m != RETRAIN)]
    sets = list(forget_sets)
    asked = [Task("judge", dataset, seeds[0], Lab.judge)]
    asked += [original(dataset, seed) for seed in seeds]
    asked += [model(dataset, s, forget, row) for s in seeds for forget in sets for row in rows]
    return asked


def referees(dataset: str, seed: int, surrogates: int = 0) -> tuple[Task, ...]:
    """The tasks that make what measurements are made by: the judge; the panel's members, and their
    thresholds, which the original of that seed helps to set; an attacker's own classifiers."""
    members = [Task("member", dataset, seed, train_member, (name,)) for name in MEMBERS]
    needs = (original(dataset, seed), *members)
    return (
        Task("judge", dataset, seed, Lab.judge),
        Task("thresholds", dataset, seed, set_thresholds, needs=needs, measures=True),
        *(Task("surrogate", dataset, seed, Lab.surrogate, (k,)) for k in range(surrogates)),
    )


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """The tasks and all that they need, each once and after what it needs."""
    found: dict[Task, None] = {}
    for task in tasks:
        if task not in found:
            for needed in in_order(task.needs):
                found.setdefault(needed)
            found.setdefault(task)
    return list(found)


class Asked(Exception):
    """The key of the stage that a lab was asked for."""


class Asking(Store):
    """A store that makes and reads nothing: it says which stage it was asked for."""

    def finish(self, stage: Any, *_rest: Any) -> Any:
        raise Asked(stage.key)


def key_of(task: Task, lab: Lab) -> str:
    """The key of the stage that a task makes, found by asking.

    Args:
        lab: of the task's data set, with an `Asking` store.
    """
    asking = lab.variant(seed=task.seed)
    try:
        task.ask(asking, *task.arguments)
    except Asked as asked:
        return str(asked)
    raise TypeError(f"{task.what} asks for no stage: say that it measures")
