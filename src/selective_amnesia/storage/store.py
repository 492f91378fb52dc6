"""Where stages are kept: first on the local disk, then, in the background, in a mirror.

A stage is asked for by `Store.finish`: read if it is here, fetched if the mirror has it, resumed
if it was begun, made otherwise. Processes of one machine wait for each other, stage by stage.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..errors import LabError
from .files import locked, read_bytes, remove, remove_temporary, set_aside, write_bytes
from .mirror import Mirror
from .stage import Checkpoint, Damaged, Stage, Tensors, snapshot_decoded, snapshot_encoded

SPACED = 60.0  # seconds at least between two snapshots of a stage that follow to the mirror

Made = tuple[Tensors, dict[str, Any]]  # tensors and facts
Fits = Callable[[Checkpoint], bool]


class Store:
    """The stages of one folder.

    Args:
        folder: holds `checkpoints`; made where it is missing.
        mirror: where finished stages and snapshots follow to.
        about: facts that every stage is written with.

    Raises:
        LabError: the folder cannot be written.
        ValueError: the mirror is the folder itself.
    """

    def __init__(
        self, folder: Path, mirror: Mirror | None = None, about: Mapping[str, Any] | None = None
    ) -> None:
        self._folder, self.mirror, self.about = folder, mirror, dict(about or {})
        self.used: dict[str, str] = {}  # the stages asked for: key -> SHA-256 of the tensors
        write_bytes(folder / "checkpoints" / ".writable", b"")
        if mirror is not None:
            mirror.start(folder / "checkpoints")

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def folder(self) -> Path:
        """Where the files are kept.

        Raises:
            LabError: it has gone since the store was opened, as a disk does that is unplugged.
        """
        if not os.path.isdir(self._folder):
            raise LabError(
                f"the folder {self._folder} is gone: bring it back; what is kept there is intact, "
                "and work goes on from it."
            )
        return self._folder

    def path(self, key: str, suffix: str) -> Path:
        """Where a file of a stage lies."""
        return self.folder / "checkpoints" / f"{key}{suffix}"

    def finish(
        self,
        stage: Stage,
        make: Callable[[SnapshotStore], Made],
        fits: Fits = lambda _found: True,
    ) -> Checkpoint:
        """The stage's checkpoint, made where it is not there.

        Another process that makes it at this moment is waited for.

        Args:
            make: makes it, from its snapshot if it has one.
            fits: whether a checkpoint that is there holds what is expected; if not it is made anew.

        Raises:
            LabError: what is here is damaged (it is then set aside as *.damaged) or of a newer
                format, or the disk refuses.
        """
        found = self._here(stage)
        if found is None or not fits(found):
            with self._lock(stage):
                found = self._here(stage)
                if found is None or not fits(found):
                    found = self._fetched(stage, fits) or self._make(stage, make)
        remove(self.path(stage.key, ".partial"))  # should a kill have kept its maker from it
        self.used[stage.key] = found.facts["sha256"]
        return found

    def _here(self, stage: Stage) -> Checkpoint | None:
        tensors, facts = (self.path(stage.key, s) for s in (".safetensors", ".json"))
        if (text := read_bytes(facts)) is None:
            return None
        try:
            return Checkpoint.decoded(stage.key, read_bytes(tensors) or b"", text)
        except Damaged:
            set_aside(facts, tensors)
            raise LabError(
                f"{tensors} is damaged: it does not match its checksum. It was set aside as "
                f"{tensors.name}.damaged; run again to make it anew."
            ) from None

    def _fetched(self, stage: Stage, fits: Fits) -> Checkpoint | None:
        """A finished stage of the mirror, kept here from now on, or None where it has none that is
        intact and fits."""
        if self.mirror is None or (found := self.mirror.fetch(stage.key)) is None:
            return None
        try:
            checkpoint = Checkpoint.decoded(stage.key, *found)
            if fits(checkpoint):
                self._keep(stage.key, *found)
                return checkpoint
        except Damaged:
            print(f"{stage.key} is damaged in the mirror {self.mirror}: it is made anew.")
        self.mirror.replace(stage.key)
        return None

    def _make(self, stage: Stage, make: Callable[[SnapshotStore], Made]) -> Checkpoint:
        remove_temporary(self.folder / "checkpoints", stage.key)
        tensors, facts = make(SnapshotStore(self, stage.key))
        facts = self.about | facts | {
            "stage": stage.name,
            "version": stage.version,
            "settings": stage.settings,
            "parents": [parent.key for parent in stage.parents],
            "date": time.strftime("%Y-%m-%d"),
        }  # fmt: skip
        content, text = Checkpoint(tensors, facts).encoded(stage.key)
        self._keep(stage.key, content, text)
        if self.mirror is not None:
            self.mirror.follow(stage.key)
        return Checkpoint.decoded(stage.key, content, text)

    def _keep(self, key: str, content: bytes, text: bytes) -> None:
        """The facts are written last: with them the stage is finished."""
        remove(self.path(key, ".json"))  # of one that did not fit
        write_bytes(self.path(key, ".safetensors"), content)
        write_bytes(self.path(key, ".json"), text)

    def _lock(self, stage: Stage) -> AbstractContextManager[None]:
        waiting = f"{stage.name} is being made by another process: waiting for it."
        return locked(self.path(stage.key, "").parent / ".locks" / stage.key, waiting)


class SnapshotStore:
    """The last state of a stage's unfinished training."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self.followed = -SPACED  # when a snapshot last followed to the mirror

    @property
    def path(self) -> Path:
        """The snapshot's file."""
        return self.store.path(self.key, ".partial")

    def save(self, state: Tensors) -> None:
        """Keep a state in place of the last one.

        Raises:
            LabError: the disk does not take it; the last one stands.
        """
        write_bytes(self.path, snapshot_encoded(self.key, state))
        now = time.monotonic()
        if self.store.mirror is not None and now - self.followed >= SPACED:
            self.followed = now
            self.store.mirror.follow(self.key)

    def load(self) -> Tensors | None:
        """The last state, from here or else from the mirror, or None where none is to be
        believed: the stage then begins anew."""
        if (stored := read_bytes(self.path)) is not None:
            try:
                return snapshot_decoded(self.key, stored)
            except Damaged:
                set_aside(self.path)
                print(f"{self.path.name} is damaged and set aside.")
        mirror = self.store.mirror
        if mirror is not None and (stored := mirror.fetch_snapshot(self.key)) is not None:
            try:
                return snapshot_decoded(self.key, stored)
            except Damaged:
                print(f"{self.path.name} is damaged in the mirror {mirror}.")
        return None
