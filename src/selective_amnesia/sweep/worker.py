"""What a worker does with a task: it opens a lab of its own and asks.

An order says, in names and numbers, where finished stages are kept and what every worker has to
have. What comes back of a task is how long it took, never what it made: that lies in the store.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import torch

from ..errors import Diverged, LabError
from ..lab.lab import Lab
from ..plugins import VARIABLE
from ..storage.files import read_bytes, write_bytes
from ..storage.home import home
from ..storage.place import Place
from .plan import Task

MARK = ".sweep"  # the file by which a worker knows the folder
MIRRORED = 600.0  # seconds that a finished stage may take to the mirror


@dataclass(frozen=True)
class Order:
    """What all tasks of a sweep have in common.

    Args:
        folder: the client's folder; a worker that sees the same one works in it.
        mark: what the file `MARK` holds there.
        mirror: the mirror's URL, or "".
        versions: of what shapes a result, by name.
    """

    profile: str
    folder: str
    mark: str
    mirror: str
    versions: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """What stands for it in names."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Made:
    """What is said of a task that was done."""

    seconds: float = 0.0
    failed: str = ""  # why there is no such model, where its training diverged


def order(lab: Lab) -> Order:
    """The order of sweeps that keep their stages where this lab does."""
    path = lab.store.folder / "checkpoints" / MARK
    if read_bytes(path) is None:
        write_bytes(path, os.urandom(16).hex().encode())
    mark = (read_bytes(path) or b"").decode()
    url = lab.store.mirror.url if lab.store.mirror else ""
    if url and Place(url).local:
        url = str(Path(url).absolute())
    return Order(lab.profile.name, str(lab.store.folder), mark, url, versions())


def versions() -> tuple[tuple[str, str], ...]:
    """Of what has to be the same wherever a sweep's stages are made: the package and a reader's own
    plug-ins, each a hash of its files, and torch."""
    own = (Path(f) for f in os.environ.get(VARIABLE, "").split(os.pathsep) if f)
    return (
        ("selective_amnesia", _digest([Path(__file__).parents[1]])),
        (f"the plug-ins of {VARIABLE}", _digest(own)),
        ("torch", str(torch.__version__)),
    )


def _digest(folders: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            found.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return found.hexdigest()[:12]


def refusal(order: Order) -> str:
    """Why this process cannot work on such an order, in words that follow "worker NAME"; "" where
    it can."""
    here = dict(versions())
    for name, version in order.versions:
        if here[name] != version:
            return f"has another version of {name} ({here[name]}, not {version}): install the same"
    try:
        folder = _folder(order)
        write_bytes(folder / "checkpoints" / ".writable", b"")
        if order.mirror:
            _try_to_write(order.mirror)
    except LabError as error:
        return f"cannot keep what it makes: {error}"
    return ""


def _folder(order: Order) -> Path:
    """Where this process keeps its files: the client's folder where it sees that, else its own.

    Raises:
        LabError: it does not see the client's, and nothing would bring its work there.
    """
    theirs = Path(order.folder)
    if read_bytes(theirs / "checkpoints" / MARK) == order.mark.encode():
        return theirs
    if not order.mirror:
        raise LabError(
            f"the sweep's folder {theirs} is not there. Share it at the same path, or name a "
            "mirror by SELECTIVE_AMNESIA_MIRROR where the sweep is started"
        )
    return home()


def _try_to_write(mirror: str) -> None:
    name = f".writable-{os.urandom(8).hex()}"
    try:
        place = Place(mirror)
        place.names()  # makes the folder
        place.write(name, b"")
        place.remove(name)
    except Exception as error:  # a place may fail in any way
        raise LabError(
            f"the mirror {mirror} takes nothing ({error or type(error).__name__}). Name one that "
            "every worker can write"
        ) from error


@cache
def _opened(order: Order, dataset: str) -> Lab:
    """A process's lab of a data set: its images are read once."""
    if said := refusal(order):  # one that was given a task while it was turned away
        raise LabError(f"a worker {said}")
    folder, mirror = _folder(order), order.mirror
    return Lab.open(order.profile, 0, dataset, folder=folder, mirror=mirror)


@lru_cache(maxsize=8)
def _lab(order: Order, dataset: str, seed: int) -> Lab:
    return _opened(order, dataset).variant(seed=seed)


def make(order: Order, task: Task, *needed: Made) -> Made:
    """Ask for what a task names.

    Args:
        needed: what was said of the tasks that it needs.

    Raises:
        LabError: the disk, the mirror or the GPU refuses; the message says what to do.
    """
    if failed := next((each.failed for each in needed if each.failed), ""):
        return Made(failed=failed)
    lab = _lab(order, task.dataset, task.seed)
    started = time.perf_counter()
    try:
        task.ask(lab, *task.arguments)
    except Diverged as error:
        return Made(failed=f"{task}: {error}")
    _wait_for_mirror(lab, str(task))
    return Made(time.perf_counter() - started)


def _wait_for_mirror(lab: Lab, what: str) -> None:
    """Wait until a lab's mirror has all: what needs a stage may be made on another machine, which
    finds it there alone."""
    mirror, until = lab.store.mirror, time.monotonic() + MIRRORED
    while mirror is not None and not mirror.flush():
        if time.monotonic() > until:
            raise LabError(
                f"{what} is kept in {lab.store}, but the mirror {mirror} does not take it. See "
                "that it answers and has room, and run the sweep again"
            )
        time.sleep(1.0)


def alone(task: Task) -> Task:
    """The task without those that it needs, which a worker is not to be sent."""
    return replace(task, needs=())
