"""A sweep: the tasks of a plan that are not kept yet, made once each on a cluster."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import CancelledError

from distributed import Client, Future, KilledWorker, as_completed

from ..errors import LabError
from ..lab.lab import Lab
from .cluster import connected
from .kept import kept, seconds
from .plan import Task, in_order
from .where import Where
from .worker import Made, Order, alone, make, order

AGAIN = 2  # times that a task which failed is tried once more: a damaged file is then made anew


def sweep(labs: Sequence[Lab], tasks: Iterable[Task], where: Where) -> None:
    """Make what the tasks ask for, and all that they need, where these labs keep their stages.

    Args:
        labs: one of each data set that the tasks name, all of one profile and folder.

    Raises:
        LabError: a task could not be done; what was finished is kept.
    """
    lab, plan = labs[0], in_order(tasks)
    there = kept(labs, plan)
    todo = [task for task in plan if task not in there]
    expected = seconds(lab, plan, there)
    print(_planned(plan, there, expected, where), flush=True)
    if not todo:
        return
    log = lab.store.folder / "build" / "sweep.log"
    log.parent.mkdir(exist_ok=True)
    asked = order(lab)
    with connected(where, asked, log) as client:
        address = str(client.scheduler_info()["address"])
        print(_greeting(client, address), flush=True)
        futures = _submitted(client, asked, todo, where)
        progress = Progress(todo, expected)
        try:
            for future in as_completed(futures):
                progress.take(futures[future], future, _workers(client))
        except KeyboardInterrupt:
            client.cancel(list(futures))
            raise
        except (OSError, CancelledError, TimeoutError) as error:
            raise LabError(
                f"the scheduler {address} has gone: start it and its workers, and run this again. "
                "What was finished is kept."
            ) from error
    progress.close()


def _workers(client: Client) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _greeting(client: Client, address: str) -> str:
    workers = _workers(client)
    said = f"{workers} workers at {address}"
    if importlib.util.find_spec("bokeh"):  # which Dask's dashboard needs
        said += f", dashboard {client.dashboard_link}"
    return said + ("" if workers else ": waiting for some to join")


def _submitted(
    client: Client, asked: Order, todo: Sequence[Task], where: Where
) -> dict[Future[Made], Task]:
    """A future for each task. Its name holds the order's, so that two sweeps of a scheduler share
    what both ask for and nothing else."""
    found: dict[Task, Future[Made]] = {}
    for task in todo:
        needed = [found[each] for each in task.needs if each in found]
        found[task] = client.submit(
            make,
            asked,
            alone(task),
            *needed,
            key=f"{task} {asked.digest}",
            resources=where.taken() or None,
            retries=AGAIN,
        )
    return {future: task for task, future in found.items()}


def _words(task: Task, error: BaseException | None) -> str:
    if isinstance(error, KilledWorker):
        return f"{task}: worker after worker died with it, perhaps of too little memory."
    said = str(error).split("\n")[0].rstrip(".")
    return f"{said}." if isinstance(error, LabError) else f"{task}: {type(error).__name__}: {said}."


def _planned(
    plan: Sequence[Task], there: Collection[Task], expected: dict[Task, float], where: Where
) -> str:
    """The plan in words: how many tasks of each kind, those kept already, about how long."""
    every, done = Counter(t.what for t in plan), Counter(t.what for t in there)
    lines = [f"{what:<12} {n:>6}, kept {done[what]:>6}" for what, n in every.items()]
    work = sum(expected[task] for task in plan if task not in there)
    lines.append(f"{len(plan)} tasks, {len(there)} kept already")
    if work:
        lines[-1] += f"; the others about {_span(work)} of one worker's time"
        if not (where.scheduler or where.scheduler_file):
            lines[-1] += f", {_span(work / where.processes)} on {where.processes}"
        lines.append("What is finished is not made again; stop it whenever you like.")
    return "\n".join(lines)


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Progress:
    """Says what was done, and what is left by what it took."""

    def __init__(self, todo: Sequence[Task], expected: dict[Task, float]) -> None:
        self.left = {task: expected[task] for task in todo}
        self.total, self.started = len(todo), time.perf_counter()
        self.took: dict[str, list[float]] = defaultdict(list)
        self.failed = 0
        self.errors: list[str] = []

    def take(self, task: Task, future: Future[Made], workers: int) -> None:
        """A task has come to its end.

        Raises:
            CancelledError: by the loss of its scheduler.
        """
        if future.status == "error":
            said = _words(task, future.exception())
            self.errors.append(said)
            taken = 0.0
        else:
            made = future.result()
            self.failed += bool(made.failed)
            said = f"failed: {made.failed}" if made.failed else f"{made.seconds:.1f} s"
            taken = made.seconds
        del self.left[task]
        self.took[task.what].append(taken)
        means = {what: statistics.mean(took) for what, took in self.took.items()}
        left = sum(means.get(each.what, guess) for each, guess in self.left.items())
        rest = f"; about {_span(left / max(workers, 1))} left" if self.left else ""
        print(f"[{self.total - len(self.left)}/{self.total}] {task}: {said}{rest}", flush=True)

    def close(self) -> None:
        """Say how it went.

        Raises:
            LabError: tasks were not done.
        """
        if self.errors:
            raise LabError(
                f"{len(self.errors)} of {self.total} tasks were not done. The first: "
                f"{self.errors[0]} What was finished is kept; run this again for the others."
            )
        failed = f", {self.failed} of them failed" if self.failed else ""
        print(f"{self.total} tasks in {_span(time.perf_counter() - self.started)}{failed}")
