"""Mirrors that disappear, stall, fill up and return under a lab; kills while work follows there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import torch

from selective_amnesia import Lab
from selective_amnesia.storage import store
from selective_amnesia.storage.stage import Checkpoint, snapshot_decoded
from selective_amnesia.storage.store import SnapshotStore


def open_lab(folder: Path, mirror: Path) -> Lab:
    return Lab.open("smoke", dataset="digits", folder=folder, device="cpu", mirror=str(mirror))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "drive" / "mirror"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def judge(lab: Lab) -> torch.nn.Module:
    """What each training here comes to: the judge's, which is short."""
    return lab.judge()


def same(model: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.fixture
def after_first_save(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once the first snapshot is in the mirror; all of them follow there."""
    monkeypatch.setattr(store, "SPACED", 0.0)
    save, saves = SnapshotStore.save, []

    def then(harm):
        def save_and_harm(self, state):
            save(self, state)
            saves.append(int(state["step"]))
            if len(saves) == 1:
                assert self.store.mirror.flush()
                harm()

        monkeypatch.setattr(SnapshotStore, "save", save_and_harm)

    return then


def check_whole(place: Path) -> dict[str, bytes]:
    """Every name in the mirror stands for something whole; the finished stages' tensors."""
    finished = {}
    for file in (place / "checkpoints").glob("[!.]*.json"):
        (tensors,) = place.glob(f"checkpoints/{file.stem}.{sha_in(file)}.safetensors")
        finished[file.stem] = tensors.read_bytes()
        Checkpoint.decoded(file.stem, finished[file.stem], file.read_bytes())
    for file in (place / "checkpoints").glob("[!.]*.partial"):
        snapshot_decoded(file.stem, file.read_bytes())
    return finished


def sha_in(facts: Path) -> str:
    return facts.read_text().split('"sha256": "')[1][:16]


def until_all_is_there(lab: Lab) -> None:
    for _ in range(200):
        if lab.store.mirror.flush():
            return
        time.sleep(0.05)
    raise AssertionError("it does not follow")


def test_it_disappears_and_returns(judge, place, tmp_path, after_first_save, capsys, tally):
    mine, away = open_lab(tmp_path / "lab", place), tmp_path / "away"
    after_first_save(lambda: place.parent.rename(away))
    assert same(mine.judge(), judge)
    assert not mine.store.mirror.flush()
    said = capsys.readouterr().out
    assert said.count(f"the mirror {place} fails (the folder {place} is not there") == 1
    assert said.count("stages not in the mirror") == 1
    assert not place.parent.exists(), "it must not be made anew in Drive's place"
    away.rename(place.parent)
    until_all_is_there(mine)
    assert check_whole(place).keys() == {mine.judge().facts["name"]}
    assert not list(place.glob("checkpoints/*.partial"))
    tally("a mirror disappears and returns", 1, "nothing: work goes on, what is missing follows")


def test_it_is_really_full_then_really_read_only(judge, disk_of, tmp_path, capsys, tally):
    small_disk = disk_of("400k")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 350_000)
    mine = open_lab(tmp_path / "lab", small_disk)
    assert same(mine.judge(), judge)
    assert not mine.store.mirror.flush()
    assert capsys.readouterr().out.count("fails ([Errno 28] No space left on device") == 1
    assert not check_whole(small_disk)
    ballast.unlink()
    until_all_is_there(mine)
    assert len(check_whole(small_disk)) == 1
    assert not list(small_disk.glob("checkpoints/.*"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    other = open_lab(tmp_path / "other", small_disk)
    other.store._make = None
    assert same(other.judge(), judge)
    del other.store._make
    other.store.finish(store.Stage("note", 1, {}), lambda _: ({"w": torch.ones(1)}, {}))
    assert not other.store.mirror.flush()
    assert "Read-only file system" in capsys.readouterr().out
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    until_all_is_there(other)
    assert len(check_whole(small_disk)) == 2
    tally("a mirror is full, then read-only", 1, "nothing: still read, what is missing follows")


def test_what_is_left_at_the_end_of_a_process_follows(place, tmp_path, times, tally):
    if not times(0, 1):
        pytest.skip("part of `make faults`")
    script = """if True:
        import sys, time, torch
        from pathlib import Path
        from selective_amnesia.storage.mirror import Mirror
        from selective_amnesia.storage.stage import Stage
        from selective_amnesia.storage.store import Store

        mirror = Mirror(sys.argv[2])
        write = mirror.place.write
        mirror.place.write = lambda *file: (time.sleep(0.5), write(*file))
        store = Store(Path(sys.argv[1]), mirror)
        store.finish(Stage("cvae", 1, {}), lambda _: ({"w": torch.ones(3)}, {}))
    """
    command = [sys.executable, "-c", script, str(tmp_path / "lab"), str(place)]
    subprocess.run(command, check=True)
    assert len(check_whole(place)) == 1
    tally("a process ends before its work is in the mirror", 1, "nothing: it waits")


@pytest.mark.timeout(900)
def test_kills_while_work_follows(fork_server, undisturbed, hashes, place, tmp_path, times, tally):
    """Each run is another machine: nothing is here but what the mirror has."""
    draw, kills, machines = Random(6), 0, 0
    while kills < times(2, 60):
        there = tmp_path / f"mirror{machines}"
        there.mkdir()
        while True:
            folder = tmp_path / f"machine{machines}"
            machines += 1
            point = draw.choice(["half", "written", "renamed"])
            order = {"upload": [draw.randint(1, 12), point]}
            known = check_whole(there)
            answer = fork_server.run(folder, mirror=str(there), **order)
            made = (folder / "trace").read_text()
            assert not any(f"{key} made" in made for key in known), "it is made again"
            if answer["status"] == [0]:
                break
            assert answer["status"] == [-9], answer["said"]
            kills += 1
        finished = check_whole(there)
        assert {
            key: sha256(tensors).hexdigest() for key, tensors in finished.items()
        } == undisturbed
        assert not list(there.glob("checkpoints/[!.]*.partial"))
        assert hashes(folder).items() <= undisturbed.items()  # it fetches only what it asks for
    fresh = tmp_path / "fresh"
    assert fork_server.run(fresh, mirror=str(there))["status"] == [0]
    assert not (fresh / "trace").read_text(), "all is in the mirror"
    assert hashes(fresh).items() <= undisturbed.items()
    tally("SIGKILL while work follows to a mirror", kills, "no stage redone, same bits, all whole")


@pytest.mark.timeout(600)
def test_two_runtimes_on_one_mirror(fork_server, undisturbed, hashes, place, tmp_path, tally):
    folders = tmp_path / "here", tmp_path / "there"
    answer = fork_server.run(*folders, mirror=str(place))
    assert answer["status"] == [0, 0], answer["said"]
    assert all(hashes(folder).items() <= undisturbed.items() for folder in folders)
    assert check_whole(place).keys() == undisturbed.keys()
    assert "damaged" not in "".join(answer["said"])
    tally("two runtimes on one mirror at once", 1, "every stage whole, same bits")
