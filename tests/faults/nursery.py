"""A warm parent of short lives: all is imported, nothing computed, and each order forks a lab.

To start an interpreter with torch takes seconds and to fork this one milliseconds, so that
hundreds of lives can be cut short. One order a line on standard input, one answer a line on
standard output:

    folder   where the lab lives
    trace    a file to which each stage's beginning and each training step is appended
    after    seconds after which the (first) life is ended by SIGKILL, or
    write    [n, point]: it ends itself inside its n-th write, at "half", "written" or "renamed"
    results  a file to which the figures are written at the end
    threads  how many torch may use (1 if left out)
    beside   how many lives are led at once (1 if left out)

The answer is {"status": [...], "said": [...]}: -9 for a life that was ended, 0 for one that came
to its end, and what each printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch._dynamo  # the optimiser would import it in every life

from selective_amnesia import Lab, checkpoint, perceptual, stages, training
from selective_amnesia.data import load
from selective_amnesia.results import results

perceptual.SOURCES.clear()  # no network: diversity is measured in the judge's features
torch.set_num_threads(1)
DATA = load("digits", Path())


def live(folder: str, report: str | None) -> None:
    """Every kind of stage, and what is reported of them."""
    lab = Lab.open("smoke", dataset="digits", folder=folder, device="cpu")
    lab.data = DATA
    amnesiac = lab.amnesiac({0})
    lab.control({0})
    lab.judge()
    lab.referee()
    lab.recovery(amnesiac, 0)
    lab.description_length(amnesiac, 0)
    lab.relearning(amnesiac, 0)
    lab.scores(amnesiac)
    if report:
        Path(report).write_text(json.dumps(results(lab, ["0"])))


def keep_a_trace(file: str) -> None:
    trace = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    now = {}

    def note(text: str) -> None:
        os.write(trace, f"{text}\n".encode())

    make, begin, schedule = stages.Stages._make, checkpoint.Snapshot.load, training.schedule

    def noted_make(self, stage, *rest):
        note(f"{stage.key} made")
        return make(self, stage, *rest)

    def noted_load(self):
        now["key"] = self.at.name
        return begin(self)

    def noted_schedule(step, config):
        note(f"{now['key']} {step}")
        return schedule(step, config)

    stages.Stages._make = noted_make
    checkpoint.Snapshot.load = noted_load
    training.schedule = noted_schedule


def die_in_write(which: int, point: str) -> None:
    fsync, replace = os.fsync, os.replace
    writes = []

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted_fsync(handle):
        writes.append(handle)
        if len(writes) == which and point == "half":
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            die()
        fsync(handle)

    def watched_replace(source, target):
        if len(writes) == which and point == "written":
            die()
        replace(source, target)
        if len(writes) == which:
            die()

    os.fsync, os.replace = counted_fsync, watched_replace


def bear(order: dict) -> tuple[int, str]:
    """A child that leads the life; its process and the file of what it says."""
    handle, said = tempfile.mkstemp()
    child = os.fork()
    if child:
        os.close(handle)
        return child, said
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(handle, stream)
        keep_a_trace(order["trace"])
        if "write" in order:
            die_in_write(*order["write"])
        torch.set_num_threads(order.get("threads", 1))
        live(order["folder"], order.get("results"))
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        os._exit(status)


def wait(child: int, until: float) -> int:
    """The child's exit status; it is killed at that time."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until = float("inf")
        time.sleep(0.002)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        children = [bear(order) for _ in range(order.get("beside", 1))]
        until = [time.monotonic() + order.get("after", 200), *[float("inf")] * len(children)]
        status = [wait(child, end) for (child, _), end in zip(children, until)]  # noqa: B905
        said = [Path(file).read_text(errors="replace") for _, file in children]
        for _, file in children:
            os.unlink(file)
        print(json.dumps({"status": status, "said": said}), flush=True)


if __name__ == "__main__":
    print("warm", flush=True)
    main()
