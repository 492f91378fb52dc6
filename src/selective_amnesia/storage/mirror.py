"""A second place for what is kept: Colab's Drive, a folder, anything that fsspec can write.

Work goes on from the local disk. A thread in the background brings finished stages and snapshots
to the mirror, whole or not at all; a mirror that fails is named once, and what is missing there
follows when it answers again. The tensors of a stage lie there under a name with their checksum,
`KEY.SHA.safetensors`, and `KEY.json` is written after them: whatever two machines do at the same
time, the facts there speak of tensors that are there. The first finished stage stays.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ..errors import LabError
from .files import locked, read_bytes
from .place import Place
from .stage import Checkpoint, Damaged, snapshot_decoded

PATIENCE = 20.0  # seconds that a question, or the end of a process, waits for the mirror
AGAIN = 10.0  # seconds before a mirror that failed is asked again

Result = TypeVar("Result")


class Mirror:
    """A mirror of one folder of stages.

    Args:
        url: a folder, which has to be there, or any URL that fsspec knows.

    Raises:
        ValueError: there is no such kind of place, or its package is missing.
    """

    def __init__(self, url: str) -> None:
        self.url, self.place, self.folder = url, Place(url), Path()
        self.pending: dict[str, int] = {}  # keys, the longest waiting first: how often followed
        self.useless: set[str] = set()  # keys whose stage there is to be replaced
        self.behind = True  # what is missing there has yet to be looked for
        self.failing = False  # the last attempt to bring something failed
        self.silent = False  # the last question was not answered: no more are asked
        self.read_only = self.place.read_only
        self.said = self.said_read_only = False
        self.changed = threading.Condition()

    def __str__(self) -> str:
        return self.url

    # --- from here to there ----------------------------------------------------------------------

    def start(self, folder: Path) -> None:
        """Begin to follow that folder.

        Raises:
            ValueError: it is the mirror's own.
        """
        own = self.place.local and os.path.realpath(self.place.root)
        if own == os.path.realpath(folder.parent):
            raise ValueError(f"the mirror {self} is the lab's own folder: name another, or none")
        self.folder = folder
        threading.Thread(target=self._work, daemon=True, name="mirror").start()
        _started.append(self)

    def follow(self, key: str) -> None:
        """A stage of the folder, or its snapshot, is to be brought there."""
        with self.changed:
            if self.read_only:
                self._takes_nothing()
            else:
                self.pending[key] = self.pending.get(key, 0) + 1
                self.changed.notify_all()

    def replace(self, key: str) -> None:
        """What the mirror has of a stage is of no use: the next one takes its place."""
        self.useless.add(key)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all is there, or the mirror fails; whether all is there (or the
        mirror takes nothing)."""
        if self.read_only:
            return True
        patience = PATIENCE if timeout is None else timeout
        with self.changed:
            self.changed.wait_for(lambda: self.failing or self._done(), patience)
            if not self._done():
                print(
                    f"stages not in the mirror {self} yet: {len(self.pending) or 'perhaps some'}; "
                    f"they are kept in {self.folder} and follow when a lab is opened there again.",
                    flush=True,
                )
            return self._done()

    def _done(self) -> bool:
        return not self.pending and not self.behind

    def _work(self) -> None:
        """The thread's loop: bring what waits, and begin again after a failure."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: not self._done())
            try:
                with locked(self.folder / ".locks" / "mirror"):  # one process of this machine
                    self._catch_up() if self.behind else self._bring_next()
            except NotImplementedError:
                self._takes_nothing()
            except Exception as error:  # a mirror may fail in any way
                self.failing = True
                self._fails(error)
                time.sleep(AGAIN)
            else:
                self._answers()

    def _catch_up(self) -> None:
        """What is missing there is to follow, also what earlier processes could not bring."""
        missing: list[str] = []
        if self.read_only:
            self.place.read("any.json")  # whether it answers again
        else:
            there = self.place.names()
            for name in there:
                key, _, suffix = name.rpartition(".")
                if suffix == "partial" and f"{key}.json" in there:
                    self.place.remove(name)  # its machine was killed before it did that
            for suffix in (".json", ".partial"):
                here = self.folder.glob(f"*{suffix}")
                missing += [path.stem for path in here if path.name not in there]
        with self.changed:
            self.behind = False
            # what waits already keeps its place: one that fails again and again starves no other
            self.pending |= {key: 0 for key in missing if key not in self.pending}

    def _bring_next(self) -> None:
        """Bring what waits longest. What fails waits again, behind all others."""
        with self.changed:
            key, times = next(iter(self.pending.items()))
        try:
            self._bring(key)
        except Exception:
            with self.changed:
                self.pending[key] = self.pending.pop(key)
            raise
        with self.changed:
            if self.pending[key] == times:  # else it was written again meanwhile
                del self.pending[key]

    def _bring(self, key: str) -> None:
        tensors, facts, snapshot = self._held(key)
        finished = self.place.read(f"{key}.json") is not None
        if facts is not None:
            if not finished or key in self.useless:
                self.place.write(_tensors_name(key, facts), tensors)
                # that took its time: another machine may have been first
                if self.place.read(f"{key}.json") is None or key in self.useless:
                    self.place.write(f"{key}.json", facts)
                    self.useless.discard(key)
            self.place.remove(f"{key}.partial")
        elif snapshot is not None and not finished:
            self.place.write(f"{key}.partial", snapshot)

    def _held(self, key: str) -> tuple[bytes, bytes | None, bytes | None]:
        """Tensors, facts and snapshot of a stage as they lie here: only what is intact, for the
        store says what is not."""
        with suppress(Damaged, LabError):
            if (facts := read_bytes(self.folder / f"{key}.json")) is not None:
                tensors = read_bytes(self.folder / f"{key}.safetensors") or b""
                Checkpoint.decoded(key, tensors, facts)
                return tensors, facts, None
            if (snapshot := read_bytes(self.folder / f"{key}.partial")) is not None:
                snapshot_decoded(key, snapshot)
                return b"", None, snapshot
        return b"", None, None

    # --- from there to here ----------------------------------------------------------------------

    def fetch(self, key: str) -> tuple[bytes, bytes] | None:
        """Tensors and facts of a stage, not verified, or None where the mirror has none or does
        not answer."""

        def ask() -> tuple[bytes, bytes] | None:
            if (facts := self.place.read(f"{key}.json")) is None:
                return None
            # the second is its name where somebody copied a lab's own folder
            names = _tensors_name(key, facts), f"{key}.safetensors"
            found = (self.place.read(name) for name in names)
            return next((tensors for tensors in found if tensors is not None), b""), facts

        return self._answer(ask)

    def fetch_snapshot(self, key: str) -> bytes | None:
        """The snapshot of a stage, not verified, or None where the mirror has none or does not
        answer."""
        return self._answer(lambda: self.place.read(f"{key}.partial"))

    def _answer(self, ask: Callable[[], Result | None]) -> Result | None:
        """What the mirror says, or None where it fails, has failed or stays silent."""
        if self.silent:
            return None
        answer: concurrent.futures.Future[Result | None] = concurrent.futures.Future()

        def wait_for_it() -> None:
            try:
                answer.set_result(ask())
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=wait_for_it, daemon=True, name="mirror's answer").start()
        try:
            return answer.result(PATIENCE)
        except Exception as error:
            self.silent = True
            self._fails(error)
            return None

    # --- what is said of it ----------------------------------------------------------------------

    def _fails(self, error: Exception) -> None:
        """Say once that it fails; the thread is to ask it again."""
        with self.changed:
            if not self.said:
                why = str(error).split("\n")[0] or "it does not answer"
                later = ", and what is missing there follows when it answers again"
                print(
                    f"the mirror {self} fails ({why}): work goes on in {self.folder}"
                    f"{'' if self.read_only else later}.",
                    flush=True,
                )
            self.said = self.behind = True
            self.changed.notify_all()

    def _answers(self) -> None:
        """It has answered; say so once nothing is missing there any more."""
        with self.changed:
            self.failing = self.silent = False
            if self.said and self._done():
                self.said = False
                print(f"the mirror {self} answers again.", flush=True)
            self.changed.notify_all()

    def _takes_nothing(self) -> None:
        """Go on with a mirror that can only be read; say so once."""
        with self.changed:
            if not self.said_read_only:
                print(f"the mirror {self} takes nothing: work is fetched from it and stays here.")
            self.read_only = self.said_read_only = True
            self.pending.clear()
            self.changed.notify_all()


def _tensors_name(key: str, facts: bytes) -> str:
    """Where the mirror has the tensors that the facts speak of."""
    try:
        digest = str(json.loads(facts)["sha256"])[:16]
    except (ValueError, KeyError, TypeError, RecursionError):
        digest = "damaged"
    return f"{key}.{digest}.safetensors"


_started: list[Mirror] = []


def _flush_all() -> None:
    """At the end of a process: all mirrors together are waited for no longer than one."""
    end = time.monotonic() + PATIENCE
    for mirror in _started:
        mirror.flush(max(0.0, end - time.monotonic()))


# `atexit` itself is too late: thread pools, which file systems look up host names in, have ended.
# What is registered last is called first, hence the import of `concurrent.futures.thread`.
getattr(threading, "_register_atexit", atexit.register)(_flush_all)
