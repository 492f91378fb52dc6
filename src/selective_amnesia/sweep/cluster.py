"""Where a sweep's tasks are done: a cluster of this machine's processes, or a scheduler's workers.

Dask's ports execute what is sent to them. A cluster made here listens on loopback alone, and
SECURITY.md says how another one is protected.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import distributed
from distributed import Client, LocalCluster

from ..errors import LabError
from .where import Where
from .worker import Order, refusal

PATIENCE = 10.0  # seconds that a scheduler has to answer
FAILURES = 10  # workers that may die with one stage, which is resumed each time, until it is blamed
SETTINGS = {
    "distributed.scheduler.allowed-failures": FAILURES,
    # a worker is given one stage at a time: none waits there while another worker is idle
    "distributed.scheduler.worker-saturation": 1.0,
    # A worker that was killed has long to come back: on a busy machine it takes more than Dask's 15
    # seconds to import torch, and is then given up for good. Where none comes back, tasks fail.
    "distributed.deploy.lost-worker-timeout": "1 hour",
    "distributed.scheduler.no-workers-timeout": "10 minutes",
    # in place of Dask's own, by which a worker gives every freed page back: a step of training
    # takes 1.6 times the processor's time with it
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1},
    "distributed.worker.profile.enabled": False,  # nobody reads it
}


class Door(distributed.WorkerPlugin):
    """Met by a worker that joins late: it is made to leave where it cannot work."""

    def __init__(self, order: Order, log: str) -> None:
        self.order, self.log = order, log
        self.name = f"selective-amnesia {order.digest}"

    def setup(self, worker: distributed.Worker) -> None:
        """Check a worker.

        Raises:
            LabError: it cannot work on this order; Dask writes that to the worker's log.
        """
        if self.log:
            _speak_to(self.log)
        if said := refusal(self.order):
            worker.loop.add_callback(worker.close, reason=said)
            raise LabError(f"worker {worker.address} {said}")


def _speak_to(log: str) -> None:
    """What this process of a cluster made here says goes to a file. Ctrl-C, which a terminal sends
    to all its processes, is for the client, which then ends them."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def connected(where: Where, order: Order, log: Path) -> Iterator[Client]:
    """A client of that cluster, whose workers have all been checked.

    Raises:
        LabError: the scheduler does not answer, or a worker cannot work.
    """
    if where.scheduler or where.scheduler_file:
        with _remote(where) as client, _checked(client, Door(order, "")):
            yield client
        return
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=where.processes,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
            memory_limit=0,  # results are a few bytes, and a stage's memory cannot be spilled
        ) as cluster,
        Client(cluster) as client,
        _checked(client, Door(order, str(log))),
    ):
        yield client


def _remote(where: Where) -> Client:
    if where.scheduler_file and not Path(where.scheduler_file).is_file():
        raise LabError(
            f"there is no file {where.scheduler_file}: start the scheduler with --scheduler-file"
        )
    file = where.scheduler_file or None
    try:
        return Client(where.scheduler or None, scheduler_file=file, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        name = where.scheduler or f"that {where.scheduler_file} names"
        raise LabError(
            f"the scheduler {name} does not answer within {PATIENCE:.0f} s: see that it runs and "
            f"can be reached from here, and that its protocol is the one named"
        ) from error


@contextmanager
def _checked(client: Client, door: Door) -> Iterator[None]:
    """Ask the workers that are there, and have those to come checked at the door."""
    try:
        for address, said in client.run(refusal, door.order).items():
            if said:
                raise LabError(f"worker {address} {said}")
        client.register_plugin(door, name=door.name)
        yield
    except (ImportError, AttributeError) as error:
        raise LabError(
            f"a worker has not this package, or another version of it ({error}): install the same"
        ) from error
    finally:
        with suppress(Exception):  # the scheduler may have gone
            client.unregister_worker_plugin(door.name)
