"""How a sweep scales: the same stages on one worker and on two, in turns; and what a task costs.

    python benchmarks/sweeps.py --turns 3

Profile smoke on digits, each turn in an empty folder: two originals, controls, Fisher diagonals and
four amnesiacs. The seconds are those of the tasks, the start of the processes left out: workers
are warmed up by a task that imports all. What a task costs is the time of tasks that do nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from distributed import wait

from selective_amnesia import Lab
from selective_amnesia.sweep.cluster import connected
from selective_amnesia.sweep.plan import Task, in_order, networks
from selective_amnesia.sweep.run import _submitted
from selective_amnesia.sweep.where import Where
from selective_amnesia.sweep.worker import order

NOTHING = 200  # tasks that do nothing


def nothing(_lab: Lab, _number: int) -> None:
    """What a task costs that costs nothing."""


def warm(lab: Lab, _number: int) -> None:
    """Import and load what the first stage of a process would."""
    import torch

    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]).zero_grad()
    _ = lab.data


def seconds(folder: Path, workers: int) -> tuple[float, float]:
    """Of all stages, and of one task that does nothing."""
    lab = Lab.open("smoke", dataset="digits", folder=folder, device="cpu")
    methods = ["selective_amnesia", "naive"]
    plan = in_order(networks("digits", range(2), [(0,)], methods))
    where, asked = Where(workers=workers), order(lab)
    with connected(where, asked, folder / "log") as client:

        def timed(tasks: list[Task]) -> float:
            started = time.perf_counter()
            futures = list(_submitted(client, asked, tasks, where))
            wait(futures)
            assert all(future.status == "finished" for future in futures)
            return time.perf_counter() - started

        timed([Task("warm", "digits", 0, warm, (k,), measures=True) for k in range(4 * workers)])
        empty = [Task("nothing", "digits", 0, nothing, (k,), measures=True) for k in range(NOTHING)]
        return timed(plan), timed(empty) / NOTHING


def main() -> None:
    """Take turns and print medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    ratios, took, costs = [], {1: [], 2: []}, {1: [], 2: []}
    for turn in range(parser.parse_args().turns):
        for workers in (1, 2) if turn % 2 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                stages, each = seconds(Path(folder), workers)
            took[workers].append(stages)
            costs[workers].append(1000 * each)
            print(f"{workers} workers: {stages:.1f} s, {1000 * each:.1f} ms a task", flush=True)
        ratios.append(took[1][-1] / took[2][-1])
    print(f"one worker's time over two workers': {statistics.median(ratios):.2f} {ratios}")
    print({w: statistics.median(c) for w, c in costs.items()}, "ms a task that does nothing")


if __name__ == "__main__":
    main()
