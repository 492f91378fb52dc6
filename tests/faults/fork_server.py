"""A warm parent of short runs: all is imported, nothing computed, and each order forks a lab.

To start an interpreter with torch takes seconds and to fork this one milliseconds, so that
hundreds of runs can be cut short. One order a line on standard input, one answer a line on
standard output:

    folders  where the lab is, for each of the runs that are made at once
    trace    a file to which each stage's beginning and each training step is appended
    few      whether to make a few stages only, and report nothing
    mirror   the lab's mirror, if any; every snapshot follows to it
    after    seconds after which the (first) run is ended by SIGKILL, or
    write    [n, point]: it ends itself inside its n-th write to its folder, or
    upload   [n, point]: to its mirror; at "half", "written" or "renamed"
    results  a file to which the figures are written at the end
    threads  how many torch may use (1 if left out)

The answer is {"status": [...], "said": [...]}: -9 for a run that was ended, 0 for one that came
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
from typing import Any

import torch
import torch._dynamo  # the optimiser would import it in every run
from fsspec.implementations.local import LocalFileSystem

from selective_amnesia import Lab
from selective_amnesia.data import load
from selective_amnesia.metrics import perceptual
from selective_amnesia.reports.results import results
from selective_amnesia.storage import store
from selective_amnesia.training import loop

perceptual.sources = dict  # no network: diversity is measured in the judge's features
store.SPACED = 0.0
torch.set_num_threads(1)
DATA = load("digits", Path())


def run(folder: str, order: dict[str, Any]) -> None:
    """Stages, and what is reported of them."""
    lab = Lab.open(
        "smoke", dataset="digits", folder=folder, device="cpu", mirror=order.get("mirror")
    )
    lab.data = DATA
    amnesiac = lab.amnesiac({0})
    lab.judge()
    if not order.get("few"):
        make_the_others(lab, amnesiac)
    if "results" in order:
        Path(order["results"]).write_text(json.dumps(results(lab, ["0"])))
    if lab.store.mirror is not None:
        lab.store.mirror.flush()


def make_the_others(lab: Lab, amnesiac: torch.nn.Module) -> None:
    """Every other kind of stage."""
    lab.control({0})
    lab.surrogate(0)
    lab.measure.attack(amnesiac, 0)
    lab.measure.metric(amnesiac, 0, "description")
    lab.measure.metric(amnesiac, 0, "relearning")
    lab.measure.scores(amnesiac)


def keep_a_trace(file: str) -> None:
    trace = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    now = {}

    def note(text: str) -> None:
        os.write(trace, f"{text}\n".encode())

    make, begin, schedule = store.Store._make, store.SnapshotStore.load, loop.schedule

    def noted_make(self, stage, *rest):
        note(f"{stage.key} made")
        return make(self, stage, *rest)

    def noted_load(self):
        now["key"] = self.key
        return begin(self)

    def noted_schedule(step, config):
        note(f"{now['key']} {step}")
        return schedule(step, config)

    store.Store._make = noted_make
    store.SnapshotStore.load = noted_load
    loop.schedule = noted_schedule


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_in_write(which: int, point: str) -> None:
    """End this process in its n-th write to the local folder."""
    fsync, replace = os.fsync, os.replace
    writes = []

    def counted_fsync(handle):
        writes.append(handle)
        if len(writes) == which and point == "half":
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            end()
        fsync(handle)

    def watched_replace(source, target):
        if len(writes) == which and point == "written":
            end()
        replace(source, target)
        if len(writes) == which:
            end()

    os.fsync, os.replace = counted_fsync, watched_replace


def end_in_upload(which: int, point: str) -> None:
    """End this process in its n-th upload to a mirror that is a folder."""
    pipe, move = LocalFileSystem.pipe_file, LocalFileSystem.mv
    uploads = []

    def counted_pipe(self, path, content, **kwargs):
        uploads.append(path)
        if len(uploads) == which and point == "half":
            pipe(self, path, content[: len(content) // 2], **kwargs)
            end()
        pipe(self, path, content, **kwargs)

    def watched_move(self, source, target, **kwargs):
        if len(uploads) == which and point == "written":
            end()
        move(self, source, target, **kwargs)
        if len(uploads) == which:
            end()

    LocalFileSystem.pipe_file, LocalFileSystem.mv = counted_pipe, watched_move


def forked(order: dict[str, Any], folder: str) -> tuple[int, str]:
    """A child that makes the run in that folder; its process and the file of what it says."""
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
            end_in_write(*order["write"])
        if "upload" in order:
            end_in_upload(*order["upload"])
        torch.set_num_threads(order.get("threads", 1))
        run(folder, order)
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
        children = [forked(order, folder) for folder in order["folders"]]
        until = [time.monotonic() + order.get("after", 200), *[float("inf")] * len(children)]
        status = [wait(child, last) for (child, _), last in zip(children, until)]  # noqa: B905
        said = [Path(file).read_text(errors="replace") for _, file in children]
        for _, file in children:
            os.unlink(file)
        print(json.dumps({"status": status, "said": said}), flush=True)


if __name__ == "__main__":
    print("warm", flush=True)
    main()
