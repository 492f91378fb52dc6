"""A stage that is made at once, stores, mirrors that are impatient."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from selective_amnesia.storage import mirror
from selective_amnesia.storage.mirror import Mirror
from selective_amnesia.storage.stage import Stage
from selective_amnesia.storage.store import SnapshotStore, Store

CVAE = Stage("cvae", 1, {"steps": 3})


class Recipe:
    """Makes a stage of `value`; counts how often, and keeps the state it resumed from."""

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.made, self.resumed = value, 0, []

    def __call__(self, snapshots: SnapshotStore) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        self.made += 1
        self.resumed.append(snapshots.load())
        snapshots.save({"step": torch.tensor(7)})
        return {"w": torch.full((4,), self.value)}, {"loss": self.value}


@pytest.fixture
def stage() -> Stage:
    return CVAE


@pytest.fixture
def recipe() -> Recipe:
    return Recipe()


@pytest.fixture
def other_recipe() -> Recipe:
    return Recipe(2.0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mirrors are asked again at once, and those that were started come to rest."""
    monkeypatch.setattr(mirror, "PATIENCE", 5.0)
    monkeypatch.setattr(mirror, "AGAIN", 0.02)
    monkeypatch.setattr(mirror, "_started", [])
    fsspec.filesystem("memory").store.clear()
    yield
    for started in mirror._started:
        started.flush(1.0)


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A mirror that works."""
    if request.param == "memory":
        return "memory://lab"
    (tmp_path / "mirror").mkdir()
    return str(tmp_path / "mirror")


@pytest.fixture
def runtime(tmp_path: Path) -> Callable[..., Store]:
    """A machine of its own on a mirror: name, URL -> its store."""
    return lambda name, url=None: Store(tmp_path / name, Mirror(url) if url else None)


@pytest.fixture
def files() -> Callable[[Store], list[str]]:
    """The names of what a store has of stages."""
    return lambda store: sorted(p.name for p in store.path("", "").glob("[!.]*"))


@pytest.fixture
def never() -> Callable:
    """A recipe for what must not be made again."""

    def refuse(_snapshots):
        raise AssertionError("it is made again")

    return refuse


@pytest.fixture
def interrupted() -> Callable[[Store, Stage], None]:
    """Begins a stage and stops after its first snapshot."""

    def make(snapshots):
        snapshots.save({"step": torch.tensor(3)})
        raise KeyboardInterrupt

    def begin(store, stage):
        with pytest.raises(KeyboardInterrupt):
            store.finish(stage, make)

    return begin


@pytest.fixture
def names() -> Callable[[str], list[str]]:
    """The files of a mirror, by its URL."""
    return lambda url: sorted(Mirror(url).place.names())


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Waits until something is so."""

    def wait(is_so):
        end = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.01)

    return wait
