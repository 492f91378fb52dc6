"""Disks that fill, turn read-only, disappear and stall, in the middle of a training."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
import torch

from selective_amnesia import Lab, LabError, checkpoint
from selective_amnesia.checkpoint import Snapshot


def open_lab(folder):
    return Lab.open("smoke", dataset="digits", folder=folder, device="cpu")


@pytest.fixture(autouse=True)
def undisturbed(lab):
    """What each test ends with is there before anything is broken."""
    lab.cvae()
    lab.fisher()


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def after_first_save(monkeypatch, harm):
    """Do something to the disk once the first snapshot is on it."""
    save, saves = Snapshot.save, []

    def save_and_harm(self, state):
        save(self, state)
        saves.append(int(state["step"]))
        if len(saves) == 1:
            harm()

    monkeypatch.setattr(Snapshot, "save", save_and_harm)
    return saves


def refuse(monkeypatch, number, folder):
    """From now on the folder answers every write with that error."""
    replace = os.replace

    def refused(source, target):
        if str(target).startswith(str(folder)):
            raise OSError(number, os.strerror(number))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)


@pytest.mark.parametrize("number", [28, 30, 5, 107], ids=["full", "read-only", "broken", "gone"])
def test_a_folder_that_refuses(number, lab, tmp_path, refuge, monkeypatch, capsys, tally):
    mine = open_lab(tmp_path)
    with monkeypatch.context() as context:
        saves = after_first_save(context, lambda: refuse(context, number, tmp_path))
        assert same(mine.cvae(), lab.cvae())
    said = capsys.readouterr().out
    assert saves == [20, 40]
    assert f"cannot write {tmp_path}/checkpoints/cvae-" in said
    assert os.strerror(number) in said
    assert f"cp {refuge}{tmp_path}/checkpoints/cvae-" in said
    assert list(tmp_path.glob("checkpoints/cvae-*.partial"))
    mine._make = None
    assert same(mine.cvae(), lab.cvae())
    assert {p.suffix for p in tmp_path.glob("checkpoints/cvae-*")} == {".json", ".safetensors"}
    assert not [p for p in refuge.rglob("*") if p.is_file()]
    tally(f"a write answered by: {os.strerror(number)}", 1, "nothing: kept elsewhere, brought back")


def test_what_comes_back_half_stays_whole_in_the_refuge(lab, tmp_path, refuge, monkeypatch, tally):
    """The folder takes the tensors and then has no room for the facts."""
    mine = open_lab(tmp_path)
    with monkeypatch.context() as context:
        refuse(context, 28, tmp_path)
        mine.cvae()
    replace = os.replace

    def no_room(source, target):
        if str(target).startswith(str(tmp_path)) and str(target).endswith(".json"):
            raise OSError(28, os.strerror(28))
        replace(source, target)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", no_room)
        assert same(open_lab(tmp_path).cvae(), lab.cvae())
    assert not list(tmp_path.rglob("*.damaged")) + list(refuge.rglob("*.damaged"))
    assert same(open_lab(tmp_path).cvae(), lab.cvae())
    assert not [p for p in refuge.rglob("*") if p.is_file()]
    tally("disk has room for half of a stage that comes back", 1, "nothing")


def test_a_refuge_that_cannot_be_entered_is_no_hindrance(lab, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(checkpoint, "REFUGE", tmp_path / "file" / "refuge")
    for _ in range(2):
        assert same(open_lab(tmp_path).cvae(), lab.cvae())


def test_where_the_refuge_is_full_too_the_last_snapshot_stands(
    lab, tmp_path, refuge, monkeypatch, tally
):
    mine = open_lab(tmp_path)
    with monkeypatch.context() as context:

        def fill():
            refuse(context, 28, "/")

        after_first_save(context, fill)
        with pytest.raises(LabError, match=r"cannot write .*No space left.*Free some space"):
            mine.cvae()
    (snapshot,) = tmp_path.glob("checkpoints/cvae-*.partial")
    assert int(Snapshot(snapshot.with_suffix("")).load()["step"]) == 20
    assert same(mine.cvae(), lab.cvae())
    tally("the local disk full as well", 1, "20 steps, one interval; the last snapshot stands")


def test_a_folder_that_disappears_and_returns(lab, tmp_path, monkeypatch, capsys, tally):
    folder, away = tmp_path / "drive" / "lab", tmp_path / "away"
    mine = open_lab(folder)
    with monkeypatch.context() as context:
        after_first_save(context, lambda: folder.parent.rename(away))
        assert same(mine.cvae(), lab.cvae())  # its last steps are kept in the refuge
    assert "No such file or directory. Mount Drive again" in capsys.readouterr().out
    assert not folder.parent.exists(), "it must not be made anew in Drive's place"
    with pytest.raises(LabError, match=r"the folder .* is gone: mount Drive again"):
        mine.fisher()
    assert "Lab(" in repr(mine)
    away.rename(folder.parent)
    made = []
    make = mine._make
    mine._make = lambda stage, *rest: made.append(stage.name) or make(stage, *rest)
    mine.fisher()
    assert made == ["fisher"]
    assert list(folder.glob("checkpoints/cvae-*.json"))
    tally("the folder disappears and returns", 1, "nothing: kept elsewhere, brought back")


def test_a_write_that_stalls_says_so(tmp_path, monkeypatch, capsys, tally):
    fsync = os.fsync
    monkeypatch.setattr(checkpoint, "STALL", 0.05)
    monkeypatch.setattr(os, "fsync", lambda handle: (time.sleep(0.3), fsync(handle)))
    checkpoint.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert capsys.readouterr().out == (
        f"still writing {tmp_path}/file: the disk or Drive is slow; the lab goes on once it "
        "answers.\n"
    )
    tally("a write that stalls", 1, "nothing: it says so and waits")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB, where we may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_then_really_read_only(lab, small_disk, refuge, capsys, tally):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 12_000_000)
    mine = open_lab(small_disk)
    assert same(mine.cvae(), lab.cvae())  # 14 MB a snapshot
    assert "No space left on device" in capsys.readouterr().out
    ballast.unlink()
    mine.cvae()
    assert len(list(small_disk.glob("checkpoints/cvae-*"))) == 2
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert same(mine.cvae(), lab.cvae())  # to read is enough
    mine.judge()
    assert "Read-only file system" in capsys.readouterr().out
    with pytest.raises(LabError, match=r"Read-only file system.*make the folder writable"):
        open_lab(small_disk)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    mine._make = None
    mine.judge()
    assert not [p for p in refuge.rglob("*") if p.is_file()]
    tally("a small disk full, then read-only", 1, "nothing: kept elsewhere, brought back")
