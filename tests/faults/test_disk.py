"""Local disks that fill, turn read-only and disappear, in the middle of a training."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from selective_amnesia import Lab, LabError
from selective_amnesia.storage.store import SnapshotStore


def open_lab(folder: Path) -> Lab:
    return Lab.open("smoke", dataset="digits", folder=folder, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def original(lab: Lab) -> dict[str, torch.Tensor]:
    """What each training comes to; made before anything is broken."""
    return lab.cvae().state_dict()


def same(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def after_first_save(monkeypatch: pytest.MonkeyPatch, harm: Callable[[], object]) -> None:
    """Do something to the disk once the first snapshot is on it."""
    save, saves = SnapshotStore.save, []

    def save_and_harm(self, state):
        save(self, state)
        saves.append(int(state["step"]))
        if len(saves) == 1:
            harm()

    monkeypatch.setattr(SnapshotStore, "save", save_and_harm)


def last_step(lab: Lab) -> int:
    (snapshot,) = lab.store.path("", "").glob("cvae-*.partial")
    return int(SnapshotStore(lab.store, snapshot.stem).load()["step"])


@pytest.mark.parametrize("number", [28, 30, 5], ids=["full", "read-only", "broken"])
def test_a_folder_that_refuses(number, original, tmp_path, monkeypatch, times, tally):
    if number != 28 and not times(0, 1):
        pytest.skip("part of `make faults`")
    mine = open_lab(tmp_path)

    def refused(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as context:
        after_first_save(context, lambda: context.setattr(os, "replace", refused))
        says = rf"cannot write {tmp_path}/checkpoints/cvae-.*{os.strerror(number)}\. Free some"
        with pytest.raises(LabError, match=says) as error:
            mine.cvae()
    assert "\n" not in str(error.value)
    assert last_step(mine) == 20
    assert same(mine.cvae(), original)
    assert {p.suffix for p in tmp_path.glob("checkpoints/cvae-*")} == {".json", ".safetensors"}
    tally(f"a write answered by: {os.strerror(number)}", 1, "20 steps; the last snapshot stands")


def test_a_folder_that_disappears_and_returns(original, tmp_path, monkeypatch, tally):
    folder, away = tmp_path / "disk" / "lab", tmp_path / "away"
    mine = open_lab(folder)
    with monkeypatch.context() as context:
        after_first_save(context, lambda: folder.parent.rename(away))
        with pytest.raises(LabError, match=r"the folder .* is gone: bring it back"):
            mine.cvae()
    assert "profile smoke" in repr(mine)
    for ask in (mine.cvae, mine.fisher, lambda: mine.store.folder):
        with pytest.raises(LabError, match="is gone"):
            ask()
    assert not folder.parent.exists(), "it must not be made anew in its place"
    away.rename(folder.parent)
    assert last_step(mine) == 20
    assert same(mine.cvae(), original)
    tally("the folder disappears and returns", 1, "20 steps; the last snapshot stands")


def test_a_disk_that_is_really_full_then_really_read_only(original, disk_of, tally):
    small_disk = disk_of("40m")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 28_000_000)
    mine = open_lab(small_disk)
    with pytest.raises(LabError, match=r"No space left on device\. Free some space"):
        mine.cvae()  # 14 MB a snapshot
    assert not list(small_disk.glob("checkpoints/.*cvae*"))
    ballast.unlink()
    assert same(mine.cvae(), original)
    assert len(list(small_disk.glob("checkpoints/cvae-*"))) == 2
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert same(mine.cvae(), original)  # to read is enough
    with pytest.raises(LabError, match=r"Read-only file system.*make the folder writable"):
        mine.judge()
    with pytest.raises(LabError, match=r"Read-only file system.*make the folder writable"):
        open_lab(small_disk)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    mine.judge()
    tally("a small disk full, then read-only", 1, "what was not written yet; what was stands")
