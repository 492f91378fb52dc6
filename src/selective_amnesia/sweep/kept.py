"""What of a plan is kept already, and how long the rest may take; nothing is made or read for it
but a few facts."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence

from ..errors import LabError
from ..lab.lab import Lab
from ..storage.files import read_bytes
from ..storage.store import Store
from .plan import Asking, Task, key_of

# Seconds of each kind in profile `fast` on one thread of a CPU (docs/speed.md), where nothing of
# the kind is kept that says better.
FAST = {"cvae": 130, "control": 130, "fisher": 5, "amnesiac": 60, "surrogate": 60}
OTHER = 60
READ = 5  # kept stages of a kind whose seconds are looked at


def kept(labs: Sequence[Lab], plan: Sequence[Task]) -> dict[Task, str]:
    """Those tasks whose stage is kept where the labs keep theirs, and its key. A measuring task is
    never among them: its worker finds out.

    Raises:
        ValueError: a label or a method does not exist.
        LabError: the mirror does not answer.
    """
    there = _names(labs[0].store)
    store = Asking(labs[0].store.folder)
    asking = {lab.data.name: lab.variant() for lab in labs}
    for each in asking.values():
        each.store = store
    keys = {task: key_of(task, asking[task.dataset]) for task in plan if not task.measures}
    return {task: key for task, key in keys.items() if key in there}


def _names(store: Store) -> set[str]:
    """The keys of all finished stages: in the mirror, where there is one, since it is there that
    workers meet."""
    if store.mirror is None:
        return {path.stem for path in (store.folder / "checkpoints").glob("*.json")}
    if not store.mirror.flush():
        raise LabError(f"the mirror {store.mirror} does not answer: a sweep's workers meet there")
    return {n.removesuffix(".json") for n in store.mirror.place.names() if n.endswith(".json")}


def seconds(lab: Lab, plan: Sequence[Task], there: dict[Task, str]) -> dict[Task, float]:
    """How long each task may take: as long as kept ones of its kind did, else a guess by the
    profile's steps."""
    known: dict[str, list[float]] = defaultdict(list)
    for task, key in there.items():
        if len(known[task.what]) < READ:
            text = read_bytes(lab.store.path(key, ".json"))
            known[task.what] += [json.loads(text).get("seconds", 0.0)] if text else []
    share = lab.profile.cvae.steps / 6000  # of profile `fast`
    guesses = {task.what: share * FAST.get(task.what, OTHER) for task in plan}
    guesses |= {what: statistics.median(took) for what, took in known.items() if took}
    return {task: guesses[task.what] for task in plan}
